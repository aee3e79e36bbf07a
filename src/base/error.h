/* Why something failed, in words for the person who must act on it.
 *
 * Functions that can fail return 0 or a negative errno value. Where the number alone would not tell an operator what
 * to do, they also take a `struct error *` (which may be NULL) and put one line there: what was wrong with what, and
 * what to do. Only failures write to it. The text holds no line breaks and no secrets.
 *
 * A text is about the object that the caller works on, and does not name it ("is too large"): whoever shows it puts the
 * object's name in front. Or it is a sentence about something else ("the database is read-only"), which is shown as it
 * is; error_set_sentence marks it. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define ERROR_TEXT_MAX 640

struct error {
    int code; /* negative errno, 0 when nothing failed */
    char text[ERROR_TEXT_MAX];
    int is_sentence; /* of its own; shown without the name of an object in front */
};

/* Writes the formatted text (made fit to be shown by printable()) and the code into *e unless
 * e is NULL. Returns `code`, so that `return error_set(e, -EINVAL, "...")` reads as one step. */
int error_set(struct error *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int error_set_sentence(struct error *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Sets what `said` says, under another code. Returns that code. */
int error_pass(struct error *e, int code, const struct error *said);

#endif
