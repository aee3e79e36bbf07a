#include "http/upload_form.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "codec/multipart.h"
#include "codec/sniff.h"
#include "config/config.h"
#include "store/store.h"

struct upload_form {
    struct multipart multipart;
    struct spool photo;
    int64_t max_bytes;
    int in_photo; /* the present part is the photo */
    int photos;
    struct error why; /* what one of our own functions refused */
};

static int refuse(struct upload_form *form, int code, const char *why)
{
    return error_set(&form->why, code, "%s", why);
}

static int begin_part(void *arg, const struct multipart_part *part)
{
    struct upload_form *form = arg;
    form->in_photo = strcmp(part->name, UPLOAD_FORM_FIELD) == 0;
    form->photos += form->in_photo;
    return form->photos > 1 ? refuse(form, -EINVAL, "the form has more than one field " UPLOAD_FORM_FIELD) : 0;
}

static int is_image(const struct spool *photo)
{
    return sniff(photo->memory.data, photo->memory.len).kind != SNIFF_NONE;
}

static int take_data(void *arg, const char *bytes, size_t n)
{
    struct upload_form *form = arg;
    struct spool *photo = &form->photo;
    if (!form->in_photo)
        return 0;
    if ((int64_t)n > form->max_bytes - photo->size)
        return refuse(form, -EFBIG, "the photo is larger than PERDURA_MAX_UPLOAD");
    /* What is no image goes into no file. */
    if (photo->fd < 0 && n > photo->memory.max - photo->memory.len && !is_image(photo))
        return refuse(form, -EMEDIUMTYPE, "the photo is no image of a kind that is kept");
    return spool_add(photo, bytes, n, &form->why);
}

static int end_part(void *arg)
{
    struct upload_form *form = arg;
    form->in_photo = 0;
    return 0;
}

static const struct multipart_ops ops = {begin_part, take_data, end_part};

void upload_form_begin(struct http_transaction *x)
{
    char boundary[MULTIPART_BOUNDARY_MAX + 1];
    struct error why;
    const char *type = http_header(x, "Content-Type");
    if (multipart_boundary(boundary, type, &why) < 0) {
        http_answer_problem(x, type ? 415 : 400,
                            "send a form (multipart/form-data, with its boundary) that has the image in the "
                            "field " UPLOAD_FORM_FIELD);
        return;
    }
    struct upload_form *form = calloc(1, sizeof *form);
    if (!form) {
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    form->max_bytes = store_config(x->store)->max_upload_bytes;
    spool_init(&form->photo, UPLOAD_FORM_MEMORY);
    multipart_init(&form->multipart, boundary, &ops, form);
    x->state = form;
}

static void answer(struct http_transaction *x, const struct upload_form *form, const struct error *malformed)
{
    const struct error *own = &form->why;
    if (!own->code) {
        http_answer_problem(x, 400, "the form %s", malformed->text);
        return;
    }
    if (own->code != -EFBIG && own->code != -EINVAL && own->code != -EMEDIUMTYPE) {
        log_event(LOG_ERROR, "upload not stored", LOG_STR("error", own->text));
        http_answer_later(x, "the upload can't be kept at the moment: try again");
        return;
    }
    http_answer_error(x, NULL, own);
}

void upload_form_take(struct http_transaction *x, const char *bytes, size_t n)
{
    struct upload_form *form = x->state;
    struct error why;
    x->body_bytes += (int64_t)n;
    if (multipart_feed(&form->multipart, bytes, n, &why) < 0)
        answer(x, form, &why);
}

int64_t upload_form_memory(const struct http_transaction *x)
{
    const struct upload_form *form = x->state;
    return (int64_t)form->photo.memory.room;
}

int64_t upload_form_file(const struct http_transaction *x)
{
    const struct upload_form *form = x->state;
    return form->photo.fd >= 0 ? form->photo.size : 0;
}

const struct spool *upload_form_photo(struct http_transaction *x)
{
    struct upload_form *form = x->state;
    struct error why;
    if (multipart_end(&form->multipart, &why) < 0) {
        http_answer_problem(x, 400, "the form %s", why.text);
        return NULL;
    }
    if (!form->photo.size) {
        http_answer_problem(x, 400, "%s",
                            form->photos ? "the field " UPLOAD_FORM_FIELD " is empty"
                                         : "the form has no field " UPLOAD_FORM_FIELD);
        return NULL;
    }
    return &form->photo;
}

void upload_form_release(struct http_transaction *x)
{
    struct upload_form *form = x->state;
    if (form)
        spool_release(&form->photo);
}
