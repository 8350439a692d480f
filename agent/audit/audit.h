/* SPDX-License-Identifier: ISC */
/*
 * audit: the log of every request, as a chain of JSON lines.
 * Each line holds the BLAKE2b-256 of the line before. A checkpoint line signs the chain's
 * head with an Ed25519 key whose successor it names; then the key is erased. Lines are
 * collected during a loop turn (audit_append) and written at its end (audit_flush); a reply
 * leaves only after the flush of its line said MORTISE_OK.
 * One thread runs fdatasync for checkpoints. Knows nothing of policy, vault or store: the
 * state that must survive (struct audit_state) is kept by the caller, encrypted.
 * Values never enter this file, nor anything derived from them.
 */
#ifndef MORTISE_AUDIT_H
#define MORTISE_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "status.h"

#define AUDIT_HASH_SIZE            32
#define AUDIT_LINES_PER_CHECKPOINT 1000
#define AUDIT_LINE_MAX             2048 /* with the newline */
#define AUDIT_STATE_SIZE           (8 + 8 + 8 + 32 + 32 + 32 + 32)

struct audit;

/* What is known of a caller beside its ids; NULL: not known, or none. */
struct audit_facts {
	const char *unit;  /* names joined by single blanks */
	const char *exe;   /* an absolute path */
	const char *label; /* names joined by single blanks */
};

#define AUDIT_FACT_SIZE 256 /* with its NUL; no line has more of a fact */

struct audit_facts_room {
	char unit[AUDIT_FACT_SIZE], exe[AUDIT_FACT_SIZE], label[AUDIT_FACT_SIZE];
};

/* Copies the texts into room, as much of each as a line takes, and has facts point there. */
void audit_facts_keep(struct audit_facts *facts, struct audit_facts_room *room);

/* One request, or one thing the agent did by itself. Pointers are borrowed for the call. */
struct audit_event {
	uint64_t time_us;      /* since 1970-01-01T00:00Z */
	const char *operation; /* "get", "start", "seal", ... */
	bool has_caller;
	uint32_t uid, gid, pid;
	uint32_t login_uid, session; /* UINT32_MAX: none */
	const char *path;            /* NULL: none. Untrusted: may be anything of up to 255 bytes */
	size_t path_size;
	uint64_t version; /* 0: none */
	const char *rule; /* NULL: no rule decided */
	struct audit_facts facts;
	enum mortise_status result;
	const char *note; /* NULL: none */
};

/*
 * Opens or creates the log (0640; a regular file owned by us that no one else may write, not
 * a link), locks it and finds the chain's end; a torn last line is cut off. Starts the
 * fdatasync thread, so call it between sandbox_confine() and sandbox_enter(); after a failed
 * fdatasync path is opened again. Lines may be appended at once, checkpoints need
 * audit_attach(). MORTISE_IO; MORTISE_REJECTED for a FIFO, link, foreign owner, or a file that
 * does not end like our log, which is then left as it is; MORTISE_CONFLICT if another process
 * writes it; MORTISE_BUSY without memory.
 */
enum mortise_status audit_open(const char *path, bool sync_always, struct audit **out_audit)
	MUST_USE;

/* Writes counted denials, flushes, waits for the thread, wipes keys. NULL is allowed. */
void audit_close(struct audit *audit);

/*
 * The first signing keys of a new store: gives the state (AUDIT_STATE_SIZE bytes, holds secret
 * seeds), and has a `genesis` line with the store's UUID and the first public key on disk when
 * it returns. Keys are attached then; where the state cannot be stored, audit_detach().
 * MORTISE_BUSY: could not be written, or no room for secrets. MORTISE_CONFLICT: a checkpoint
 * is under way.
 */
enum mortise_status audit_begin_chain(
	struct audit *audit, const uint8_t uuid[16], struct secret **out_state) MUST_USE;

/*
 * Hands over the state read from the store, which stays the caller's. Verifies the log from
 * the state's head to its end; whatever does not fit (a torn line that was cut, lines of a
 * crash after the last checkpoint, a log that lacks the head or has a break behind it: "DAMAGED:")
 * is recorded in a `joint` line that says which. Afterwards checkpoints can be made. Where the
 * log holds a checkpoint that the store has not heard of, the descriptor becomes readable soon
 * and audit_checkpoint_end() gives the state that is to be stored before all else.
 * MORTISE_INTEGRITY: this is no state. MORTISE_BUSY: no room, or the joint could not be
 * written; MORTISE_IO. Then nothing is attached that was not before.
 */
enum mortise_status audit_attach(
	struct audit *audit, const uint8_t uuid[16], const struct secret *state) MUST_USE;

/* Where the chain goes on though what is before is damaged: at the joint that says so. */
struct audit_gap {
	uint64_t sequence; /* of the joint; 0: no gap */
	uint8_t head[AUDIT_HASH_SIZE];
	uint8_t key[32]; /* the public half of what signs the next checkpoint */
	char why[256];   /* "the log lacks its last signed line" */
};

/* The damage that the last audit_attach() found, to be kept by the caller; sequence 0: none. */
const struct audit_gap *audit_gap(const struct audit *audit);

/*
 * Has a line that is written with keys only? If the store has keys and its log no such line, the
 * log is another one, which can be said without them. MORTISE_NOT_FOUND: it has none.
 */
enum mortise_status audit_find_vouched(const struct audit *audit) MUST_USE;

/* Forgets the signing keys (seal). Lines may still be appended. */
void audit_detach(struct audit *audit);

/*
 * Puts one line into the turn. Never fails: a line that cannot be had (the operation is not
 * [a-z][a-z0-9-]{0,31}, or one of genesis, checkpoint, joint, denials; the turn's earlier
 * lines could not be written) makes the flush fail. A path is cut to 255 bytes, a rule to 64,
 * a unit, exe or label to 255, a note to the room that is left (70 bytes at least).
 * Every request that succeeds has its line. Of a caller's (uid's) refusals, be they denied,
 * invalid, sealed or else, in a calendar minute ten
 * have one each, and the others one together, operation `denials`, whose note says how many.
 * It is put when the minute is over (at the next append or checkpoint), and before each
 * checkpoint. 64 uids are told apart; a further one has the oldest's count written out.
 * False: it is one of those that are only counted.
 */
bool audit_append(struct audit *audit, const struct audit_event *event);

/*
 * Writes the turn's lines with one write (and fdatasync if sync_always). On failure they are
 * taken out of the log and the chain again, as if never appended, and MORTISE_BUSY says:
 * release nothing.
 */
enum mortise_status audit_flush(struct audit *audit) MUST_USE;

/*
 * Is a checkpoint due: lines since the last one and a minute gone, 1,000 lines, or asked for?
 * Also when counted denials of a past minute wait for their line, with or without keys.
 */
bool audit_checkpoint_is_due(const struct audit *audit, uint64_t now_us);
/* Asks for one at the next chance (admin actions). */
void audit_request_checkpoint(struct audit *audit);

/*
 * Appends and writes the checkpoint line and hands the log to the thread. No checkpoint is made
 * while one is under way or its state is not stored, or while no keys are attached. Call it
 * after audit_flush(); in the middle of a turn it flushes, and the turn's audit_flush() then
 * fails if that failed. MORTISE_BUSY: could not be written, nothing happened. After a failed
 * fdatasync it does not make another line but checks and writes again what was not on disk;
 * MORTISE_INTEGRITY if that is gone.
 */
enum mortise_status audit_checkpoint_begin(struct audit *audit, uint64_t now_us) MUST_USE;

/* Becomes readable when the thread is done; for the event loop. */
int audit_descriptor(const struct audit *audit);

/*
 * After the descriptor became readable: the state to be stored, now that the log is on disk.
 * It is given once: keep it until it is stored, then call audit_checkpoint_stored().
 * MORTISE_BUSY if nothing is there (yet, or because keys were detached); MORTISE_IO if
 * fdatasync failed.
 */
enum mortise_status audit_checkpoint_end(struct audit *audit, struct secret **out_state) MUST_USE;

/*
 * The state from audit_checkpoint_end() is in the store. Only then is the next checkpoint
 * made: a stored state that is two checkpoints old has no key that the log still accepts.
 */
void audit_checkpoint_stored(struct audit *audit);

/* For `status`. */
struct audit_report {
	uint64_t lines;          /* sequence number of the last line */
	uint64_t lines_unsigned; /* behind the last checkpoint; before attach: since opening */
	uint64_t size_bytes;
	bool is_failing;    /* the last flush failed */
	bool is_unsynced;   /* the last fdatasync failed, and was not made good */
	bool is_on_reserve; /* the disk is full and the preallocated reserve is in use */
	bool is_scarce;     /* and what is left of that is for administrators, who free room */
};
struct audit_report audit_report(const struct audit *audit);
/*
 * What failed may work by now, as where space was freed: tries it, so that the report is of now.
 * Changes nothing that is in the log.
 */
void audit_look_again(struct audit *audit);

/* The report's word, looked at again before anybody is refused for it. */
bool audit_is_scarce(struct audit *audit);

/* False: the file was moved or removed, and lines go where nobody looks for them. */
bool audit_is_in_place(const struct audit *audit);

/* The first public key of the chain, 32 bytes; false before audit_attach/begin_chain. */
bool audit_public_key(const struct audit *audit, uint8_t out_key[32]);

/*
 * Reads whole lines from offset on, at most capacity bytes; *out_size 0 at the end. A line is
 * never cut. Only what audit_flush() has accepted. MORTISE_INVALID for an offset beyond the end
 * or not at the start of a line, or a capacity below AUDIT_LINE_MAX; MORTISE_INTEGRITY where
 * no line ends within capacity bytes or the file is shorter than it was.
 */
enum mortise_status audit_read(const struct audit *audit, uint64_t offset, uint8_t *buffer,
	size_t capacity, size_t *out_size) MUST_USE;

/*
 * audit_check: verifies a log as anyone can who has its text and the first public key.
 * Fed from the first line on with whole lines in any portions. Numbers and hashes are checked
 * from line 1, signatures from the genesis line with that key; another genesis behind it and
 * a joint that says DAMAGED (unless it is allowed) are bad records, other joints are not. Lines
 * behind the last checkpoint are as trustworthy as the disk they lie on.
 */
struct audit_check;

enum mortise_status audit_check_new(const uint8_t first_key[32], struct audit_check **out_check)
	MUST_USE;
/*
 * Goes on behind these gaps, of the store with that UUID, which somebody has acknowledged; and has
 * passed so many of them. The gaps stay the caller's until the check is over.
 */
void audit_check_allow(struct audit_check *check, const uint8_t uuid[16],
	const struct audit_gap *gaps, size_t count);
size_t audit_check_gaps(const struct audit_check *check);
/*
 * MORTISE_INTEGRITY at the first bad record; then audit_check_complaint() names it. Of two
 * lines that do not fit the next one tells which is bad, so that it may take one line more.
 */
enum mortise_status audit_check_feed(struct audit_check *check, const uint8_t *lines, size_t size)
	MUST_USE;
/*
 * Is the chain's end the one the agent holds, in this turn? MORTISE_INTEGRITY if lines were cut
 * off or the last one changed, or there was no genesis. audit NULL: does not ask an agent.
 */
enum mortise_status audit_check_end(struct audit_check *check, const struct audit *audit) MUST_USE;
/* "line 17 (sequence 17): changed: the next line holds another hash of it" */
const char *audit_check_complaint(const struct audit_check *check);
uint64_t audit_check_lines(const struct audit_check *check);
uint64_t audit_check_checkpoints(const struct audit_check *check);
void audit_check_free(struct audit_check *check);

#endif
