/* SPDX-License-Identifier: ISC */
/*
 * audit_line: one line of the audit log, as text.
 * Keys have a fixed order and everything has one spelling, so that a line is either exactly
 * what we would write or it is refused. What a client sent can make a line long, never
 * too long: a path is cut to 255 bytes, a rule to 64, a unit, exe or label to 255 and to the
 * room that is left, a note to that.
 * Knows nothing of files, chains and who may sign.
 *
 *	seq time [clock] op [uid [gid pid] [auid] [session]] [path] [version] [rule] [unit] [exe]
 *	[label] result [note] [store] [key] [next] [sig] prev
 *
 * clock is "doubtful" where the host's clock was not believed. Strings escape '"', '\', control
 *characters and bytes that are not valid UTF-8; the last two as \u00xx. gid and pid stand with uid
 *except in a `denials` line.
 */
#ifndef MORTISE_AUDIT_LINE_H
#define MORTISE_AUDIT_LINE_H

#include "audit.h"

#define AUDIT_OPERATION_MAX  32 /* [a-z][a-z0-9-]* */
#define AUDIT_TIME_SIZE      27 /* "2026-11-23T14:47:00.123456Z" */
#define AUDIT_UUID_SIZE      16
#define AUDIT_KEY_SIZE       32
#define AUDIT_SIGNATURE_SIZE 64

/* What a line is to the chain; all but the first are written by this module alone. */
enum audit_role {
	AUDIT_EVENT,
	AUDIT_CHECKPOINT, /* "checkpoint": key, next, sig */
	AUDIT_GENESIS,    /* "genesis": store, key */
	AUDIT_JOINT,      /* "joint" */
	AUDIT_DENIALS,    /* "denials" */
};

/* What checkpoint and genesis lines carry besides. NULL: absent. */
struct audit_proof {
	const uint8_t *uuid, *key, *next, *signature;
};

/* The time as text; the part down to the second is kept. Starts as {0}. */
struct audit_clock {
	uint64_t next_second; /* the second in text, plus one; 0: none yet */
	char text[AUDIT_TIME_SIZE];
	bool is_doubtful; /* the host's clock is not believed: the line says so */
};

/* A line taken apart. Pointers go into the line; the note is still escaped. */
struct audit_line {
	uint64_t sequence;
	const char *time;
	enum audit_role role;
	const char *note; /* NULL: none */
	size_t note_size;
	uint8_t uuid[AUDIT_UUID_SIZE];
	uint8_t key[AUDIT_KEY_SIZE];
	uint8_t next[AUDIT_KEY_SIZE];
	uint8_t signature[AUDIT_SIGNATURE_SIZE];
	uint8_t prev[AUDIT_HASH_SIZE];
};

/* Sets clock->text. Times behind the year 9999 count as its last microsecond. */
void audit_clock_set(struct audit_clock *clock, uint64_t time_us);

/*
 * Writes a line with its newline and returns its size; 0 if the operation is not a word of
 * at most AUDIT_OPERATION_MAX bytes. event->time_us is not looked at: the time is clock's.
 */
size_t audit_line_format(char buffer[AUDIT_LINE_MAX], const struct audit_clock *clock,
	uint64_t sequence, const struct audit_event *event, const struct audit_proof *proof,
	const uint8_t prev[AUDIT_HASH_SIZE]);

/* size is without the newline. MORTISE_INTEGRITY if we would not have written this. */
enum mortise_status audit_line_parse(const char *line, size_t size, struct audit_line *out_line)
	MUST_USE;

/* The link from a line (without its newline) to the next one's "prev". */
void audit_line_hash(const char *line, size_t size, uint8_t out_hash[AUDIT_HASH_SIZE]);

/* What an operation makes of a line; size is that of the word. */
enum audit_role audit_role_of(const char *operation, size_t size);

/* "ok", "denied", ...; NULL for what is no status. */
const char *audit_result_word(unsigned status);

/*
 * The size of the UTF-8 character at text (RFC 3629, 4), 0 if there is none or it is a
 * control character of one or two bytes. room is at least 1.
 */
size_t audit_character_size(const char *text, size_t room);

/*
 * What a checkpoint signs, so that a signature is worth nothing elsewhere:
 *
 *	"mortise audit checkpoint 1" NUL | store UUID | u64 sequence, little-endian |
 *	prev | time as in the line | public half of the next key
 */
#define AUDIT_STATEMENT_SIZE (27 + AUDIT_UUID_SIZE + 8 + AUDIT_HASH_SIZE + AUDIT_TIME_SIZE + 32)

struct audit_statement {
	const uint8_t *uuid;
	uint64_t sequence;
	const uint8_t *prev;
	const char *time;
	const uint8_t *next;
};

void audit_statement_pack(
	const struct audit_statement *statement, uint8_t out_bytes[AUDIT_STATEMENT_SIZE]);

#endif
