/* Pictures to look at, painted by arithmetic: gradients, hills, rings. The same arguments give the same picture. */
#ifndef DEV_SAMPLE_PAINT_H
#define DEV_SAMPLE_PAINT_H

enum sample_motif {
    SAMPLE_HILLS, /* a sun over three ranges of hills */
    SAMPLE_RINGS,
    SAMPLE_LIGHTS, /* soft discs of light on a gradient */
    SAMPLE_BADGE,  /* a mirrored pattern of squares, as a stand-in for a face */
    SAMPLE_WEAVE
};

struct sample_picture {
    int width, height;
    unsigned char *rgb; /* width * height * 3 bytes, from the top left; free()d by the caller */
};

/* 0 or -ENOMEM. */
int sample_paint(struct sample_picture *ret, enum sample_motif motif, int width, int height, unsigned seed)
    __attribute__((warn_unused_result));

/* A colour that goes well with the others of the same seed, as 0xRRGGBB; which runs from 0. */
unsigned sample_colour(unsigned seed, int which);

#endif
