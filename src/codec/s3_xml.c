#include "codec/s3_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEPTH_MAX 16
#define NAME_SIZE 48
#define TEXT_SIZE 4096 /* a key has up to 1,024 bytes */

struct reader;

/* An element has ended: its name, its text, and that of the element around it. */
typedef int element_fn(struct reader *x, const char *parent, const char *name, const char *text);

struct reader {
    XML_Parser parser;
    element_fn *on_end;
    const char *root; /* the name that the document's element must have */
    void *ret;
    int failed;
    int depth;
    char names[DEPTH_MAX][NAME_SIZE];
    char text[TEXT_SIZE];
    size_t text_len;
    int too_long;
};

static void stop(struct reader *x, int code)
{
    if (!x->failed)
        x->failed = code;
    (void)XML_StopParser(x->parser, XML_FALSE);
}

/* "http://s3.amazonaws.com/doc/2006-03-01/|Code" or "s3:Code" to "Code". */
static const char *local_name(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon ? colon + 1 : name;
}

static void XMLCALL on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *x = arg;
    (void)attributes;
    if (x->depth == DEPTH_MAX || (x->depth == 0 && strcmp(local_name(name), x->root) != 0)) {
        stop(x, -EINVAL);
        return;
    }
    (void)snprintf(x->names[x->depth++], NAME_SIZE, "%s", local_name(name));
    x->text_len = 0;
    x->too_long = 0;
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int n)
{
    struct reader *x = arg;
    if (x->text_len + (size_t)n >= sizeof x->text) {
        x->too_long = 1;
        return;
    }
    memcpy(x->text + x->text_len, text, (size_t)n);
    x->text_len += (size_t)n;
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
    struct reader *x = arg;
    (void)name;
    if (x->failed) /* stopped within this very element */
        return;
    x->depth--;
    x->text[x->too_long ? 0 : x->text_len] = '\0';
    int r = x->on_end(x, x->depth ? x->names[x->depth - 1] : "", x->names[x->depth], x->text);
    x->text_len = 0;
    if (r != 0)
        stop(x, r);
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                               int internal)
{
    (void)name, (void)system, (void)public, (void)internal;
    stop(arg, -EINVAL);
}

static int read_document(const char *xml, size_t n, const char *root, element_fn *fn, void *ret)
{
    struct reader *x = n <= S3_XML_MAX_BYTES ? calloc(1, sizeof *x) : NULL;
    if (!x)
        return n > S3_XML_MAX_BYTES ? -EINVAL : -ENOMEM;
    x->on_end = fn;
    x->root = root;
    x->ret = ret;
    x->parser = XML_ParserCreate(NULL);
    int r = -ENOMEM;
    if (x->parser) {
        XML_SetUserData(x->parser, x);
        XML_SetElementHandler(x->parser, on_start, on_end);
        XML_SetCharacterDataHandler(x->parser, on_text);
        XML_SetStartDoctypeDeclHandler(x->parser, on_doctype);
        r = XML_Parse(x->parser, xml, (int)n, XML_TRUE) == XML_STATUS_OK ? 0 : -EINVAL;
        if (x->failed)
            r = x->failed;
        else if (r < 0 && XML_GetErrorCode(x->parser) == XML_ERROR_NO_MEMORY)
            r = -ENOMEM;
        XML_ParserFree(x->parser);
    }
    free(x);
    return r;
}

/* Copies a text that fits whole. */
static void keep(char *dst, size_t size, const char *text)
{
    size_t n = strlen(text);
    *dst = '\0';
    if (n < size)
        memcpy(dst, text, n + 1);
}

/* Errors */

static int on_error_element(struct reader *x, const char *parent, const char *name, const char *text)
{
    struct s3_xml_error *ret = x->ret;
    if (strcmp(parent, "Error") != 0)
        return 0;
    if (strcmp(name, "Code") == 0)
        keep(ret->code, sizeof ret->code, text);
    else if (strcmp(name, "Message") == 0)
        (void)snprintf(ret->message, sizeof ret->message, "%s", text);
    else if (strcmp(name, "Region") == 0)
        keep(ret->region, sizeof ret->region, text);
    return 0;
}

int s3_xml_error(const char *xml, size_t n, struct s3_xml_error *ret)
{
    struct s3_xml_error found = {"", "", ""};
    int r = read_document(xml, n, "Error", on_error_element, &found);
    if (r == 0 && !*found.code)
        r = -EINVAL;
    if (r == 0)
        *ret = found;
    return r;
}

static int pass_over(struct reader *x, const char *parent, const char *name, const char *text)
{
    (void)x, (void)parent, (void)name, (void)text;
    return 0;
}

int s3_xml_is(const char *xml, size_t n, const char *root)
{
    return read_document(xml, n, root, pass_over, NULL) == 0;
}

/* Multipart uploads */

static int on_upload_element(struct reader *x, const char *parent, const char *name, const char *text)
{
    (void)parent;
    if (strcmp(name, "UploadId") == 0)
        keep(x->ret, S3_XML_UPLOAD_ID_SIZE, text);
    return 0;
}

int s3_xml_upload_id(const char *xml, size_t n, char ret[S3_XML_UPLOAD_ID_SIZE])
{
    char id[S3_XML_UPLOAD_ID_SIZE] = "";
    int r = read_document(xml, n, "InitiateMultipartUploadResult", on_upload_element, id);
    if (r == 0 && !*id)
        r = -EINVAL;
    if (r == 0)
        memcpy(ret, id, sizeof id);
    return r;
}

/* Listings */

struct xml_listing {
    s3_xml_object_fn *fn;
    void *arg;
    char key[TEXT_SIZE];
    struct s3_xml_object object;
    int truncated;
    char next[S3_XML_TOKEN_SIZE];
};

static void begin_object(struct xml_listing *l)
{
    l->key[0] = '\0';
    l->object = (struct s3_xml_object){.key = l->key, .size = -1, .modified_s = -1};
}

/* "2026-11-21T22:44:05.000Z" */
static int64_t iso_seconds(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    return rest ? (int64_t)timegm(&tm) : -1;
}

static int64_t size_of(const char *text)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno || end == text || *end || n < 0 ? -1 : (int64_t)n;
}

static void take_field(struct xml_listing *l, const char *name, const char *text)
{
    if (strcmp(name, "Key") == 0)
        keep(l->key, sizeof l->key, text);
    else if (strcmp(name, "ETag") == 0)
        keep(l->object.etag, sizeof l->object.etag, text);
    else if (strcmp(name, "Size") == 0)
        l->object.size = size_of(text);
    else if (strcmp(name, "LastModified") == 0)
        l->object.modified_s = iso_seconds(text);
}

static int end_object(struct xml_listing *l)
{
    int r = *l->key && l->object.size >= 0 ? l->fn(l->arg, &l->object) : -EINVAL;
    begin_object(l);
    return r;
}

static int on_list_element(struct reader *x, const char *parent, const char *name, const char *text)
{
    struct xml_listing *l = x->ret;
    if (strcmp(parent, "Contents") == 0) {
        take_field(l, name, text);
    } else if (strcmp(parent, "ListBucketResult") == 0) {
        if (strcmp(name, "Contents") == 0)
            return end_object(l);
        if (strcmp(name, "IsTruncated") == 0)
            l->truncated = strcmp(text, "true") == 0;
        else if (strcmp(name, "NextContinuationToken") == 0)
            keep(l->next, sizeof l->next, text);
    }
    return 0;
}

int s3_xml_list(const char *xml, size_t n, s3_xml_object_fn *fn, void *arg, char next[S3_XML_TOKEN_SIZE])
{
    struct xml_listing *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    l->fn = fn;
    l->arg = arg;
    begin_object(l);
    int r = read_document(xml, n, "ListBucketResult", on_list_element, l);
    if (r == 0 && l->truncated && !*l->next)
        r = -EINVAL;
    if (r == 0)
        (void)snprintf(next, S3_XML_TOKEN_SIZE, "%s", l->truncated ? l->next : "");
    free(l);
    return r;
}
