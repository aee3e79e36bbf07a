/* Passwords as settings hold them: plain, or as a hash by scrypt (RFC 7914), which costs whoever has stolen it 16 MiB
 * of memory and a quarter of a second for each guess. Safe from any thread.
 *
 * A hash is written as `scrypt$N$r$p$SALT$KEY`, or in PHC's form, `$scrypt$ln=LOG2N,r=R,p=P$SALT$KEY`; salt and key in
 * base64, padded or not. A plain password can't begin like one. */
#ifndef CODEC_PASSWORD_H
#define CODEC_PASSWORD_H

#define PASSWORD_MAX_BYTES 1024

/* Whether this can be a password's setting: -EINVAL for what begins like a hash and is none, or one that would take
 * more than 256 MiB or several seconds. */
int password_check_setting(const char *setting) __attribute__((warn_unused_result));

/* Whether `given` is the password of this setting: 1 or 0, in a time that does not depend on how near it is. Of a hash
 * it takes the memory and the time that the hash asks for. -EINVAL, -ENOMEM, -EIO (OpenSSL fails). */
int password_matches(const char *setting, const char *given) __attribute__((warn_unused_result));

#define PASSWORD_HASH_SIZE 224

/* Writes a hash of the password, with a salt of its own. 0, -EIO. */
int password_hash(char ret[PASSWORD_HASH_SIZE], const char *plain) __attribute__((warn_unused_result));

#endif
