/* The XML that S3 answers with (Amazon S3 API reference), by expat. It comes from another machine: a document type is
 * refused, so that no entity is ever declared; depth, texts and the whole document have limits. Elements that are not
 * asked for are passed over, whatever their namespace. */
#ifndef CODEC_S3_XML_H
#define CODEC_S3_XML_H

#include <stddef.h>
#include <stdint.h>

#define S3_XML_MAX_BYTES (4 << 20)

/* <Error>; what is missing, or too long, is "". */
struct s3_xml_error {
    char code[64];     /* NoSuchKey */
    char message[256]; /* for people; one line */
    char region[64];   /* where the bucket lies, when that is what was wrong */
};

/* 0; -EINVAL when this is no such document. */
int s3_xml_error(const char *xml, size_t n, struct s3_xml_error *ret) __attribute__((warn_unused_result));

/* Whether this is a whole document whose element has this name. */
int s3_xml_is(const char *xml, size_t n, const char *root);

/* <InitiateMultipartUploadResult>: the UploadId. */
#define S3_XML_UPLOAD_ID_SIZE 1024

int s3_xml_upload_id(const char *xml, size_t n, char ret[S3_XML_UPLOAD_ID_SIZE]) __attribute__((warn_unused_result));

/* One <Contents> of a listing. The key is valid during the call. */
struct s3_xml_object {
    const char *key;
    char etag[256]; /* with its quotes */
    int64_t size;
    int64_t modified_s; /* seconds since 1970; -1: not told */
};

/* Not 0: ends the reading, which returns it. */
typedef int s3_xml_object_fn(void *arg, const struct s3_xml_object *object);

/* <ListBucketResult> of ListObjectsV2. `next` becomes the token that asks for what follows, "" at the end. 0, -EINVAL,
 * -ENOMEM, or what the function returned. */
#define S3_XML_TOKEN_SIZE 2048

int s3_xml_list(const char *xml, size_t n, s3_xml_object_fn *fn, void *arg, char next[S3_XML_TOKEN_SIZE])
    __attribute__((warn_unused_result));

#endif
