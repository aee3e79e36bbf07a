/* What a migration's file says of itself, in comments.
 *
 *     -- no transaction            as the first line: it holds one CREATE or DROP INDEX CONCURRENTLY
 *     -- compatible from 0.4.0     in the comment at its beginning: no older program may write once it is applied */
#ifndef MIGRATE_MIGRATION_TEXT_H
#define MIGRATE_MIGRATION_TEXT_H

#define MIGRATION_WORD_SIZE 64

/* Whether it runs outside of a transaction. */
int migration_text_is_concurrent(const char *text);

/* The version; 0 when there is none or it does not fit. */
int migration_text_compatible_from(const char *text, char ret[MIGRATION_WORD_SIZE]);

/* The index that a concurrent one creates; 0 when it creates none. */
int migration_text_index(const char *text, char ret[MIGRATION_WORD_SIZE]);

#endif
