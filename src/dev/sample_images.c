#include "dev/sample_images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dev/sample_formats.h"
#include "fs/fdio.h"
#include "fs/safepath.h"

#define IMAGE_MAX (4 << 20)

/* The path's ending names the format; the place in the list is the seed. */
static const struct sample {
    const char *path;
    enum sample_motif motif;
    int width, height;
} samples[] = {
    {"logo.svg", SAMPLE_RINGS, 480, 480},
    {"favicon.ico", SAMPLE_BADGE, 48, 48},
    {"products/lamp.png", SAMPLE_LIGHTS, 320, 240},
    {"products/lamp, from the side.png", SAMPLE_LIGHTS, 320, 240},
    {"products/rug.png", SAMPLE_WEAVE, 400, 300},
    {"products/rug (detail).png", SAMPLE_WEAVE, 240, 240},
    {"products/vase.bmp", SAMPLE_RINGS, 240, 320},
    {"products/plate.gif", SAMPLE_RINGS, 320, 240},
    {"products/poster.tiff", SAMPLE_HILLS, 420, 594},
    {"products/scarf.tif", SAMPLE_WEAVE, 300, 200},
    {"products/Käsekuchen mit Kirschen.png", SAMPLE_LIGHTS, 300, 225},
    {"products/crème brûlée.gif", SAMPLE_LIGHTS, 240, 180},
    {"products/抹茶ラテ.png", SAMPLE_RINGS, 256, 256},
    {"products/чайник.bmp", SAMPLE_RINGS, 200, 200},
    {"products/label.svg", SAMPLE_RINGS, 300, 120},
    {"products/thumbs/lamp.png", SAMPLE_LIGHTS, 64, 48},
    {"products/thumbs/rug.png", SAMPLE_WEAVE, 64, 48},
    {"products/thumbs/vase.png", SAMPLE_RINGS, 48, 64},
    {"products/thumbs/plate.gif", SAMPLE_RINGS, 64, 48},
    {"avatars/1/me.png", SAMPLE_BADGE, 128, 128},
    {"avatars/2/me.png", SAMPLE_BADGE, 128, 128},
    {"avatars/3/me.gif", SAMPLE_BADGE, 96, 96},
    {"avatars/7/me.png", SAMPLE_BADGE, 128, 128},
    {"avatars/7/me small.png", SAMPLE_BADGE, 27, 27},
    {"avatars/7/cover.png", SAMPLE_HILLS, 600, 200},
    {"avatars/12/me.bmp", SAMPLE_BADGE, 96, 96},
    {"avatars/12/cover.png", SAMPLE_LIGHTS, 600, 200},
    {"avatars/108/me.png", SAMPLE_BADGE, 128, 128},
    {"articles/2025/autumn.png", SAMPLE_HILLS, 480, 320},
    {"articles/2025/first snow.png", SAMPLE_HILLS, 480, 320},
    {"articles/2025/map.svg", SAMPLE_RINGS, 640, 480},
    {"articles/2026/title.png", SAMPLE_HILLS, 720, 405},
    {"articles/2026/title (final).png", SAMPLE_HILLS, 720, 405},
    {"articles/2026/spring.bmp", SAMPLE_HILLS, 400, 267},
    {"articles/2026/été à la plage.png", SAMPLE_HILLS, 480, 270},
    {"articles/2026/fireworks.gif", SAMPLE_LIGHTS, 320, 240},
    {"articles/2026/print/cover.tiff", SAMPLE_HILLS, 480, 640},
    {"articles/2026/print/back.tiff", SAMPLE_WEAVE, 300, 400},
    {"banners/start page.png", SAMPLE_LIGHTS, 800, 200},
    {"banners/sale.gif", SAMPLE_WEAVE, 468, 60},
    {"icons/cart.ico", SAMPLE_BADGE, 32, 32},
    {"icons/star.svg", SAMPLE_RINGS, 96, 96},
};

static sample_format_fn *format_of(const char *path)
{
    static const struct {
        const char *ending;
        sample_format_fn *make;
    } formats[] = {{".png", sample_png},   {".bmp", sample_bmp},  {".gif", sample_gif},
                   {".tiff", sample_tiff}, {".tif", sample_tiff}, {".ico", sample_ico}};
    const char *ending = strrchr(path, '.');
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].ending, ending) == 0)
            return formats[i].make;
    return NULL;
}

static int make(struct buf *out, const struct sample *sample, unsigned seed)
{
    struct sample_picture picture;
    sample_format_fn *format = format_of(sample->path);
    buf_reset(out);
    if (!format)
        return sample_svg(out, sample->width, sample->height, seed);
    int r = sample_paint(&picture, sample->motif, sample->width, sample->height, seed);
    if (r < 0)
        return r;
    r = format(out, &picture);
    free(picture.rgb);
    return r;
}

static int write_file(int root_fd, const char *path, const struct buf *bytes)
{
    const char *name;
    int folder = safepath_open_parent(root_fd, path, SAFEPATH_MAKE, &name);
    if (folder < 0)
        return folder;
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int r = fd < 0 ? -errno : fdio_write(fd, bytes->data, bytes->len);
    if (fd >= 0 && close(fd) < 0 && r == 0)
        r = -errno;
    close(folder);
    return r;
}

int sample_images_write(int root_fd, int *ret_count, int64_t *ret_bytes, struct error *e)
{
    const int count = (int)(sizeof samples / sizeof *samples);
    int64_t total = 0;
    struct buf bytes;
    int r = 0;
    buf_init(&bytes, IMAGE_MAX);
    for (int i = 0; r == 0 && i < count; i++) {
        r = make(&bytes, &samples[i], (unsigned)i + 1);
        if (r == 0)
            r = write_file(root_fd, samples[i].path, &bytes);
        if (r < 0)
            error_set(e, r, "the sample image %s can't be written: %s", samples[i].path, strerror(-r));
        total += (int64_t)bytes.len;
    }
    buf_release(&bytes);
    if (r < 0)
        return r;
    *ret_count = count;
    *ret_bytes = total;
    return 0;
}
