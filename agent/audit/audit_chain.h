/* SPDX-License-Identifier: ISC */
/*
 * audit_chain: the log's state, and the turn: lines are put, flushed or rolled back, and read.
 * Below what else the log is made of: denials that are counted, checkpoints and the keys that sign
 * them, where a restarted agent goes on, and the same chain from the reader's side.
 */
#ifndef MORTISE_AUDIT_CHAIN_H
#define MORTISE_AUDIT_CHAIN_H

#include "audit.h"
#include "audit_file.h"
#include "audit_line.h"

#define AUDIT_CHUNK_SIZE 65536 /* that is read at once */
#define AUDIT_TURN_SIZE  (256 * AUDIT_LINE_MAX)
#define AUDIT_DENIERS    64

struct audit_denier {
	uint32_t uid;
	uint32_t seen;    /* in this minute */
	uint32_t counted; /* of these, without a line so far */
	uint64_t last_us;
};

/* One calendar minute of denials. */
struct audit_denials {
	uint64_t minute;
	size_t count;
	struct audit_denier deniers[AUDIT_DENIERS];
	struct audit_denier others; /* all for whom there was no room: their uid is not used */
	bool has_changed;           /* since the last flush */
};

/* What becomes of the newest checkpoint. */
enum audit_phase {
	AUDIT_IDLE,
	AUDIT_SYNCING,  /* the thread has the log */
	AUDIT_UNSYNCED, /* fdatasync failed: what it was to write must be written again */
	AUDIT_HANDED,   /* the caller has the state, and is to store it */
};

struct audit {
	struct audit_file file;
	struct audit_syncer syncer;
	bool sync_always;

	struct audit_clock clock;
	struct audit_position committed; /* before this turn */
	struct audit_position chain;     /* with this turn's lines */
	uint64_t written;                /* offset up to which this turn is in the file */
	size_t used;                     /* bytes of buffer behind that */
	bool has_turn_failed;
	bool is_failing;
	struct audit_denials denials, denials_committed;

	struct audit_position at_open;
	uint64_t torn_bytes;   /* cut at opening, for the joint */
	struct audit_gap gap;  /* that the last attach found */
	struct secret *state;  /* NULL: no keys attached */
	struct secret *handed; /* what checkpoint_end is to give away */
	uint8_t uuid[AUDIT_UUID_SIZE];
	uint8_t first_key[AUDIT_KEY_SIZE];
	bool has_first_key;
	enum audit_phase phase;
	struct audit_position anchor; /* lines before this one are on disk; offset is its start */
	uint64_t signed_sequence;     /* the newest checkpoint's */
	uint64_t attempt_us;          /* time of the last attempt at one */
	bool is_requested;

	char buffer[AUDIT_TURN_SIZE];
};

/* A signed line, so that its state can be made or found again. offset is of its start. */
struct audit_found {
	uint64_t count;
	struct audit_position at;
};

struct audit_check {
	uint8_t first_key[AUDIT_KEY_SIZE];
	uint8_t key[AUDIT_KEY_SIZE]; /* that the next checkpoint must have */
	uint8_t uuid[AUDIT_UUID_SIZE];
	bool has_genesis;
	struct audit_position end; /* behind the last line */
	uint64_t lines;
	struct audit_found checkpoints;
	uint8_t gap_uuid[AUDIT_UUID_SIZE];
	const struct audit_gap *gaps; /* that are allowed, borrowed */
	size_t gap_count, gaps_passed;
	uint8_t joint[AUDIT_HASH_SIZE]; /* of a joint that is being looked at */
	bool is_suspect; /* the last line does not follow the one before; which of them is bad? */
	bool has_failed;
	char complaint[256];
};

/* Puts a line into the turn, whatever its role. */
void audit_put(
	struct audit *audit, const struct audit_event *event, const struct audit_proof *proof);

/* Like audit_flush(); what it writes is on the disk, too, if so asked. */
enum mortise_status audit_flush_to(struct audit *audit, bool disk) MUST_USE;
/* In the middle of a turn: if it fails, so will the audit_flush() at the turn's end. */
enum mortise_status audit_settle_turn(struct audit *audit) MUST_USE;

/* audit_denials.c: true if the event only counts. Puts lines for minutes that are over. */
bool audit_denials_absorb(struct audit *audit, const struct audit_event *event);
/* Puts a line for each caller whose denials have none yet. */
void audit_denials_settle(struct audit *audit);
bool audit_denials_wait(const struct audit *audit, uint64_t now_us);

/* audit_sign.c: the state by parts, which point into it. */
struct audit_keys {
	struct audit_position at; /* of the signed line; offset is of its start */
	const uint8_t *current;   /* seeds of 32 bytes */
	const uint8_t *next;
	const uint8_t *first_key;
};
void audit_state_pack(struct secret *state, const struct audit_keys *keys);
enum mortise_status audit_state_parse(const struct secret *state, struct audit_keys *out_keys)
	MUST_USE;
/* The public half; the secret one passes through the pool only. */
enum mortise_status audit_public_half(const uint8_t *seed, uint8_t *out_key) MUST_USE;
/*
 * Takes *state, whose line is in the log, in place of the one held (whose keys are wiped),
 * and *handed to be given away once the log is on disk.
 */
void audit_succeed(struct audit *audit, struct secret **state, struct secret **handed);
/* Has the log written to disk; the phase says how that goes. */
enum mortise_status audit_harden(struct audit *audit) MUST_USE;

/*
 * audit_check.c: follows the log from the line at `from`, which must be that line, to the end
 * of what is committed. key is what the next checkpoint must have. With rewrite the lines are
 * written again as they were read. MORTISE_INTEGRITY: *check holds the complaint.
 */
struct audit_route {
	const struct audit_position *from; /* offset is of the line's start */
	const uint8_t *uuid;
	const uint8_t *key; /* NULL: signatures are not looked at */
	bool rewrite;
};
enum mortise_status audit_follow(
	struct audit *audit, const struct audit_route *route, struct audit_check *check) MUST_USE;

/* audit_check.c: MORTISE_INTEGRITY, with the complaint kept. */
enum mortise_status audit_check_lack(struct audit_check *check, const char *text);
/* Goes on behind a line that is known to be good; key as above. */
void audit_check_resume(struct audit_check *check, const struct audit_position *end,
	const uint8_t *uuid, const uint8_t *key);
/* audit_check_end() without the question for the genesis. */
enum mortise_status audit_check_compare(struct audit_check *check, const struct audit *audit)
	MUST_USE;

#endif
