#include "dev/sample_paint.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define LIGHTS  14
#define SQUARES 5

struct colour {
    float r, g, b; /* 0 to 1 */
};

/* A number from 0 to 1 that looks random and is not. */
static float noise(unsigned seed, unsigned which)
{
    unsigned h = seed * 0x9E3779B1U + which * 0x85EBCA77U + 0x27D4EB2FU;
    h = (h ^ (h >> 15)) * 0x2C1B3C6DU;
    h = (h ^ (h >> 12)) * 0x297A2D39U;
    return (float)((h ^ (h >> 15)) & 0xFFFF) / 0xFFFF;
}

static float clamp(float v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

static struct colour mix(struct colour a, struct colour b, float t)
{
    t = clamp(t);
    return (struct colour){a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

/* One channel of a hue (in turns): up, level, down, level. */
static float channel(float hue)
{
    float h = (hue - (float)(int)hue) * 6;
    return h < 1 ? h : h < 3 ? 1 : h < 4 ? 4 - h : 0;
}

static struct colour tint(float hue, float saturation, float value)
{
    const struct colour grey = {value, value, value};
    hue += 2;
    const struct colour pure = {channel(hue + 1.0F / 3) * value, channel(hue) * value, channel(hue + 2.0F / 3) * value};
    return mix(grey, pure, saturation);
}

/* The hues of one picture lie near each other, light and dark alternate. */
static struct colour palette(unsigned seed, int which)
{
    float hue = noise(seed, 1) + 0.09F * (float)which;
    return tint(hue, 0.35F + 0.1F * (float)(which % 3), which % 2 ? 0.45F : 0.92F);
}

unsigned sample_colour(unsigned seed, int which)
{
    struct colour c = palette(seed, which);
    return (unsigned)(c.r * 255) << 16 | (unsigned)(c.g * 255) << 8 | (unsigned)(c.b * 255);
}

/* A wave of period 1 between -1 and 1, close to a sine and made of two parabolas. */
static float wave(float t)
{
    t -= (float)(int)t;
    return t < 0.5F ? 16 * t * (0.5F - t) : -16 * (t - 0.5F) * (1 - t);
}

static float distance(float dx, float dy)
{
    float square = dx * dx + dy * dy, root = square < 1 ? 1 : square;
    for (int i = 0; i < 8; i++) /* Heron; the mathematics library is not linked for this alone */
        root = (root + square / root) / 2;
    return root;
}

/* What a motif needs to know of its picture; computed once, not for each pixel. */
struct scene {
    unsigned seed;
    float shape; /* width / height; x and y run from 0 to 1 */
    struct colour palette[6];
    struct light {
        float x, y, radius;
    } lights[LIGHTS];
};

static struct scene scene_of(unsigned seed, float shape)
{
    struct scene s = {.seed = seed, .shape = shape};
    for (int i = 0; i < 6; i++)
        s.palette[i] = palette(seed, i);
    for (unsigned i = 0; i < LIGHTS; i++)
        s.lights[i] = (struct light){noise(seed, 20 + i), noise(seed, 60 + i), 0.05F + 0.12F * noise(seed, 40 + i)};
    return s;
}

/* Lays a disc with a soft edge over a colour. */
static struct colour disc(const struct scene *s, struct colour under, struct colour over, struct light at, float x,
                          float y)
{
    float dx = (x - at.x) * s->shape, dy = y - at.y;
    if (dx * dx + dy * dy > at.radius * at.radius)
        return under;
    return mix(under, over, (at.radius - distance(dx, dy)) * 50);
}

static struct colour hills(const struct scene *s, float x, float y)
{
    const struct colour night = {0.08F, 0.12F, 0.2F}, sunlight = {1, 0.97F, 0.85F};
    const struct light sun = {0.2F + 0.6F * s->lights[0].x, 0.3F, 0.13F};
    struct colour c = disc(s, mix(s->palette[2], s->palette[0], y * 1.4F), sunlight, sun, x, y);
    for (int i = 0; i < 3; i++) {
        float phase = s->lights[1 + i].x, depth = (float)i;
        float ridge = 0.5F + 0.15F * depth + 0.06F * wave(x * (1.3F + depth) + phase) +
                      0.025F * wave(x * (4.1F - depth) + 3 * phase);
        if (y > ridge)
            c = mix(c, mix(s->palette[1], night, 0.3F * depth), (y - ridge) * 120);
    }
    return c;
}

static struct colour rings(const struct scene *s, float x, float y)
{
    float far = distance((x - s->lights[0].x) * s->shape, y - s->lights[0].y);
    return mix(mix(s->palette[0], s->palette[3], x), s->palette[5], 0.5F + 0.5F * wave(far * 6));
}

static struct colour lights(const struct scene *s, float x, float y)
{
    struct colour c = mix(s->palette[1], s->palette[3], (x + y) / 2);
    for (int i = 0; i < LIGHTS; i++)
        c = mix(c, disc(s, c, s->palette[2 * (i % 3)], s->lights[i], x, y), 0.4F);
    return c;
}

static struct colour badge(const struct scene *s, float x, float y)
{
    const struct colour paper = {0.95F, 0.95F, 0.96F};
    int column = (int)(x * (SQUARES + 1) + 0.5F) - 1, row = (int)(y * (SQUARES + 1) + 0.5F) - 1;
    if (column < 0 || row < 0 || column >= SQUARES || row >= SQUARES)
        return paper;
    int mirrored = column <= SQUARES / 2 ? column : SQUARES - 1 - column;
    int on = noise(s->seed, 100 + (unsigned)(row * SQUARES + mirrored)) > 0.48F;
    return on ? mix(s->palette[1], s->palette[3], y) : paper;
}

static struct colour weave(const struct scene *s, float x, float y)
{
    float across = wave((x * s->shape + y) * 7), down = wave((x * s->shape - y + 4) * 7);
    struct colour c = mix(s->palette[0], s->palette[3], 0.5F + 0.5F * across);
    return mix(c, s->palette[4], 0.3F + 0.3F * down);
}

int sample_paint(struct sample_picture *ret, enum sample_motif motif, int width, int height, unsigned seed)
{
    static struct colour (*const motifs[])(const struct scene *, float, float) = {
        [SAMPLE_HILLS] = hills, [SAMPLE_RINGS] = rings, [SAMPLE_LIGHTS] = lights,
        [SAMPLE_BADGE] = badge, [SAMPLE_WEAVE] = weave,
    };
    const struct scene scene = scene_of(seed, (float)width / (float)height);
    unsigned char *at = malloc((size_t)width * (size_t)height * 3);
    if (!at)
        return -ENOMEM;
    *ret = (struct sample_picture){width, height, at};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            struct colour c = motifs[motif](&scene, (float)x / (float)width, (float)y / (float)height);
            *at++ = (unsigned char)(clamp(c.r) * 255);
            *at++ = (unsigned char)(clamp(c.g) * 255);
            *at++ = (unsigned char)(clamp(c.b) * 255);
        }
    }
    return 0;
}
