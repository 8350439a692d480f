/* SPDX-License-Identifier: ISC */
/*
 * vault: the secrets, while the master key is here.
 * Turns paths and values into rows that say nothing, and back; checks the tally when it
 * opens and keeps it true with every write. What a call promises is on disk when it returns,
 * but for writes that share a commit (vault_end_group()).
 * Knows nothing of callers and policy: whoever asks has been allowed to. Paths are valid.
 */
#ifndef MORTISE_VAULT_H
#define MORTISE_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "census.h"
#include "clock.h"
#include "envelope.h"
#include "store.h"
#include "wire.h"

#define VAULT_KEEP_VERSIONS  10                   /* older ones are removed by a write */
#define VAULT_KEEP_MAX       100                  /* what a secret's metadata can ask for instead */
#define VAULT_VERSIONS_MAX   (VAULT_KEEP_MAX + 3) /* current, previous and pending always stay */
#define VAULT_PATH_SIZE      (MORTISE_PATH_MAX + 1)
#define VAULT_NOTE_MAX       256
#define VAULT_HOOK_MAX       255
#define VAULT_PAIRS_MAX      16
#define VAULT_KEY_MAX        32
#define VAULT_PAIR_VALUE_MAX 256
#define VAULT_SLOTS_MAX      16
#define VAULT_GAPS_MAX       64

struct vault;
struct slot_making;
struct slot_hints;
struct slot_copy;

/* What a new store starts with, beside its identity. */
struct vault_origin {
	const uint8_t *uuid; /* ID_SIZE bytes */
	const struct secret *master_key;
	struct {
		uint64_t id;
		struct store_bytes record;
	} slots[8];
	size_t slot_count;
	struct store_bytes policy;
	const struct secret *audit_state;
	const struct secret *anchor; /* NULL: none */
	uint64_t generation;         /* with an anchor: where its counter stands */
};

/* Writes a new store in one transaction. MORTISE_CONFLICT if there is one already. */
enum mortise_status vault_create(struct store *store, const struct vault_origin *origin) MUST_USE;

/*
 * Derives the keys, reads every row but the values and checks the tally. MORTISE_INTEGRITY
 * if the store is not what mortise wrote. The store stays the caller's.
 */
enum mortise_status vault_open(
	struct store *store, const struct secret *master_key, struct vault **out_vault) MUST_USE;

/* Wipes the keys. NULL is allowed. */
void vault_close(struct vault *vault);

/* The key that opened it, for what came from the same store. */
const struct secret *vault_master_key(const struct vault *vault);

/* A commit failed half-way: what is on disk is unknown until the vault is loaded anew. */
bool vault_is_stale(const struct vault *vault);
/*
 * Reads all of a store that was opened anew, with the keys that are here, and is not stale any
 * more. MORTISE_INTEGRITY if the store is neither what it was nor what the commit that failed was
 * to make of it. After a failure the vault is as it was.
 */
enum mortise_status vault_reload(struct vault *vault) MUST_USE;
size_t vault_count(const struct vault *vault);
const uint8_t *vault_uuid(const struct vault *vault);
uint64_t vault_epoch(const struct vault *vault);

/* VAULT_PREVIOUS: the one that was current before; VAULT_PENDING: the one that is to be. */
enum vault_selector { VAULT_CURRENT, VAULT_PREVIOUS, VAULT_NUMBER, VAULT_PENDING };

struct vault_choice {
	enum vault_selector selector;
	uint64_t number; /* for VAULT_NUMBER */
};

/*
 * A value of 0 to 65,536 bytes and its version. MORTISE_NOT_FOUND also for a deleted secret;
 * MORTISE_INTEGRITY if its bytes are not those that were set.
 */
enum mortise_status vault_read(struct vault *vault, const char *path,
	const struct vault_choice *choice, struct secret **out_value, uint64_t *out_version)
	MUST_USE;

/* The current version; 0: there is none, or it is deleted. Costs no reading. */
uint64_t vault_current(const struct vault *vault, const char *path);
/* Another number than before: a secret may have another current version. */
uint64_t vault_changes(const struct vault *vault);

/*
 * Of the current value: the same for the same value, while the epoch is the same. It says nothing
 * to who has not the key, and is not to leave the agent all the same. MORTISE_NOT_FOUND.
 */
enum mortise_status vault_fingerprint(struct vault *vault, const char *path,
	uint8_t out_fingerprint[ENVELOPE_HASH], bool *out_empty) MUST_USE;

struct reserve;

/*
 * From now on whatever finds the disk full takes of this reserve, and tries again; NULL: no more.
 * For what frees room. The reserve stays the caller's.
 */
void vault_lend(struct vault *vault, struct reserve *reserve);

/*
 * In a rehearsal changes of secrets are told and not made: outcomes are those that there would be.
 * Whatever else would write is MORTISE_CONFLICT.
 */
void vault_rehearse(struct vault *vault, bool is_rehearsal);

struct vault_write {
	const char *path;
	const uint8_t *value;
	size_t size;
	uint8_t token[WIRE_TOKEN_SIZE]; /* the same again: done already, and the same answer */
	uint64_t expected_version;
	bool has_expected_version; /* else MORTISE_CONFLICT; 0: must not exist */
	bool only_if_changed;
	bool is_pending;  /* stored, but the current version stays; see vault_promote() */
	bool joins;       /* on the disk by vault_end_group() only; of vault_write() alone */
	const char *note; /* of this version, one line; NULL: none */
	uint32_t uid;     /* on record as its creator */
	uint64_t time_us;
};

struct vault_outcome {
	uint64_t version;
	bool changed;
};

/*
 * A new version; the secret is made, or undeleted, as needed; but a pending one is of a secret
 * that is there (MORTISE_NOT_FOUND) and has no other (MORTISE_CONFLICT). The oldest versions
 * beyond those that are to be kept are removed; never the current, previous or pending one.
 */
enum mortise_status vault_write(struct vault *vault, const struct vault_write *write,
	struct vault_outcome *out_outcome) MUST_USE;
/*
 * Writes that join are done together, in one commit, and are seen before. Whatever else changes the
 * vault ends the group first. Anything but MORTISE_OK: none of them was made, and the vault is as
 * before the first, or it is stale.
 */
enum mortise_status vault_end_group(struct vault *vault) MUST_USE;
/* Is there something that vault_end_group() has to say? */
bool vault_has_group(const struct vault *vault);

/* All or none, in one commit. MORTISE_INVALID for more than WIRE_SETS_MAX, or a path twice. */
enum mortise_status vault_write_all(struct vault *vault, const struct vault_write *writes,
	size_t count, struct vault_outcome *out_outcomes) MUST_USE;

/* Is there such a secret, even a deleted one? */
bool vault_has(const struct vault *vault, const char *path);
/* Was this write made already, as its token says? */
bool vault_was_written(struct vault *vault, const struct vault_write *write);

/*
 * Takes a secret out of sight, or puts it back. MORTISE_NOT_FOUND if there is none;
 * MORTISE_CONFLICT if it can't come back, since its current version was destroyed.
 */
enum mortise_status vault_set_deleted(struct vault *vault, const char *path, bool is_deleted,
	uint64_t time_us, struct vault_outcome *out_outcome) MUST_USE;

struct vault_pair {
	char key[VAULT_KEY_MAX + 1]; /* [a-z0-9_-] */
	char value[VAULT_PAIR_VALUE_MAX + 1];
};

/* What people say about a secret. "" and 0: nothing. */
struct vault_metadata {
	char note[VAULT_NOTE_MAX + 1];
	char hook[VAULT_HOOK_MAX + 1];
	uint64_t max_age_s;
	uint64_t keep;                            /* versions; 0: VAULT_KEEP_VERSIONS */
	struct vault_pair pairs[VAULT_PAIRS_MAX]; /* by key */
	size_t pair_count;
};

struct vault_head {
	char path[VAULT_PATH_SIZE];
	uint64_t current; /* version; 0: none, it was destroyed */
	uint64_t previous, pending;
	uint64_t last; /* the highest number that was ever given */
	uint64_t created_us;
	uint64_t deleted_us;            /* 0: not deleted */
	uint8_t token[WIRE_TOKEN_SIZE]; /* of the move that brought it here */
	struct vault_metadata metadata;
	uint64_t current_created_us; /* of vault_next() and vault_show(), with a max_age_s */
};

struct vault_version {
	uint64_t number;
	uint64_t created_us;
	uint64_t size_bytes;
	uint32_t uid;
	char note[VAULT_NOTE_MAX + 1];
};

/*
 * The head of the first secret with a number above `after` (0: the first of all). Numbers stay, and
 * are never given twice. MORTISE_NOT_FOUND: no more.
 */
enum mortise_status vault_next(struct vault *vault, uint64_t after, uint64_t *out_number,
	struct vault_head *out_head) MUST_USE;

/* The head of the secret with this number. MORTISE_NOT_FOUND: it is gone. */
enum mortise_status vault_head(struct vault *vault, uint64_t number, struct vault_head *out_head)
	MUST_USE;

/* At most VAULT_VERSIONS_MAX versions, oldest first. Deleted secrets are shown, too. */
enum mortise_status vault_show(struct vault *vault, const char *path, struct vault_head *out_head,
	struct vault_version out_versions[VAULT_VERSIONS_MAX], size_t *out_count) MUST_USE;

/*
 * The pending version becomes the current one, which becomes the previous. Done already is no
 * error: `changed` is false. MORTISE_CONFLICT if another version, or none, is pending.
 */
enum mortise_status vault_promote(struct vault *vault, const char *path, uint64_t version,
	struct vault_outcome *out_outcome) MUST_USE;
/*
 * Removes the pending version. Done already is no error: `changed` is false. MORTISE_CONFLICT if
 * another version is pending, or this one was promoted or never given.
 */
enum mortise_status vault_drop_pending(struct vault *vault, const char *path, uint64_t version,
	struct vault_outcome *out_outcome) MUST_USE;

/*
 * A new version with the value of version `to`; nothing changes if that is the current one. Of
 * write, value, size and note are filled in here. MORTISE_NOT_FOUND.
 */
enum mortise_status vault_rollback(struct vault *vault, const struct vault_write *write,
	uint64_t to, struct vault_outcome *out_outcome) MUST_USE;

/* Gives a secret another path. MORTISE_CONFLICT if there is one already, though deleted. */
enum mortise_status vault_move(struct vault *vault, const char *path, const char *new_path,
	const uint8_t token[WIRE_TOKEN_SIZE], struct vault_outcome *out_outcome) MUST_USE;

/* Replaces what is said about a secret. MORTISE_INVALID for what is out of bounds. */
enum mortise_status vault_metadata(
	struct vault *vault, const char *path, struct vault_metadata *out_metadata) MUST_USE;
enum mortise_status vault_set_metadata(struct vault *vault, const char *path,
	const struct vault_metadata *metadata, struct vault_outcome *out_outcome) MUST_USE;

/*
 * One version's data key and value are overwritten, in the write-ahead log too, and in what a
 * rekey has written or left. MORTISE_CONFLICT for the current version unless the secret is
 * deleted; one that is gone already is no error. After a failure the version may be gone for
 * readers, but not from the files: then the call is to be repeated.
 */
enum mortise_status vault_destroy(struct vault *vault, const char *path, uint64_t version,
	struct vault_outcome *out_outcome) MUST_USE;
/* The same for all of a secret, its row and name too. MORTISE_CONFLICT unless it is deleted. */
enum mortise_status vault_destroy_all(
	struct vault *vault, const char *path, struct vault_outcome *out_outcome) MUST_USE;

/* In place of a time of deletion: the clock was not believed then. */
#define VAULT_TIME_UNKNOWN 1

/*
 * Looks at some secrets behind *cursor, a number (moves it on; 0 starts, and stands there at the
 * end), and removes the first that was deleted keep_us before now_us: its path and current version
 * are out. MORTISE_NOT_FOUND: none of them was. It may stay in the log until vault_forget_old().
 * Deleted at a time that is not known counts from now_us on.
 */
enum mortise_status vault_purge(struct vault *vault, uint64_t now_us, uint64_t keep_us,
	uint64_t *cursor, char out_path[VAULT_PATH_SIZE], uint64_t *out_version) MUST_USE;

struct vault_progress {
	bool is_rekeying;     /* the old key is the store's still */
	uint64_t done, total; /* secrets, or steps */
};

/* How far a vault_verify() is; zeros: it begins. */
struct vault_check {
	uint64_t secret; /* rows up to this one are what they were */
	uint64_t place;  /* and so it is with values up to this place, once the rows are done */
	bool are_rows_done, is_done;
};

/*
 * Reads again from disk, for about budget_us: first the meta row and items, then rows of secrets,
 * of which it decrypts every value, then whose values there are. MORTISE_INTEGRITY with what is
 * wrong in out_complaint; or MORTISE_BUSY or MORTISE_IO, with why it could not be read.
 */
enum mortise_status vault_verify(struct vault *vault, struct vault_check *check, unsigned budget_us,
	size_t *out_values, char *out_complaint, size_t complaint_size) MUST_USE;
/* Of about how many steps of it how many are done. */
struct vault_progress vault_verify_progress(
	const struct vault *vault, const struct vault_check *check);

/*
 * Begins to replace the master key by a new random one, in slices while the vault serves: all
 * that is encrypted or hashed under it is redone beside what is there, slots included, without
 * their hardware; the last transaction of it makes it the store, and then the old is removed.
 * Until that transaction the store is the old key's; whatever fails before leaves it so.
 * With reencrypt each version gets a new data key. MORTISE_BUSY while one is under way.
 */
enum mortise_status vault_rekey(struct vault *vault, bool reencrypt) MUST_USE;

struct vault_progress vault_rekey_progress(const struct vault *vault);

/* Is there a rekey to go on with, or something to remove after one? */
bool vault_has_work(const struct vault *vault);
/*
 * One slice of that, of about budget_us and one commit. Whatever fails is over, if it was the
 * rekey; what it left, and the rest after it, is there to be removed: call again, but not at once.
 */
enum mortise_status vault_work(struct vault *vault, unsigned budget_us) MUST_USE;

#define VAULT_CLASSES_MAX  128
#define VAULT_VERSION_COST 512 /* bytes that a version takes beside its value: about as many */

/* The classes (census.h) of what uid has made at path; how many. */
typedef size_t vault_classify(void *context, uint32_t uid, const char *path,
	struct census_class out_classes[VAULT_CLASSES_MAX]);

/*
 * Counts from now on by these classes, in place of others, what is kept: of every version, deleted
 * secrets' too, its value and VAULT_VERSION_COST; of every secret one, for who made the eldest
 * version. It takes vault_count_slice() until vault_is_counting() is false. NULL: nobody wants to
 * know.
 */
enum mortise_status vault_count_by(struct vault *vault, vault_classify *classify, void *context)
	MUST_USE;
bool vault_is_counting(const struct vault *vault);
enum mortise_status vault_count_slice(struct vault *vault, unsigned budget_us) MUST_USE;
/* MORTISE_BUSY while it is being counted. */
enum mortise_status vault_counted(const struct vault *vault, const struct census_class *class_of,
	struct census_sum *out_sum) MUST_USE;

/* Of all classes; none while it is being counted. */
void vault_counted_each(const struct vault *vault, census_visit *visit, void *context);

/* The policy as applied: the newest version, or any kept. malloc'ed. MORTISE_NOT_FOUND. */
enum mortise_status vault_policy(struct vault *vault, uint64_t version, uint8_t **out_policy,
	size_t *out_size, uint64_t *out_version) MUST_USE;
enum mortise_status vault_set_policy(
	struct vault *vault, struct store_bytes policy, uint64_t *out_version) MUST_USE;

/*
 * Takes what was overwritten or deleted (old signing keys, pruned versions) from the write-ahead
 * log, too: empties it.
 */
enum mortise_status vault_forget_old(struct vault *vault) MUST_USE;

/* The audit log's signing keys; see audit.h. */
enum mortise_status vault_audit_state(struct vault *vault, struct secret **out_state) MUST_USE;
enum mortise_status vault_set_audit_state(struct vault *vault, const struct secret *state) MUST_USE;

/* The clock's floor. MORTISE_NOT_FOUND: none was kept. */
enum mortise_status vault_floor(struct vault *vault, struct clock_floor *out_floor) MUST_USE;
enum mortise_status vault_set_floor(struct vault *vault, const struct clock_floor *floor) MUST_USE;
/* As the disk has it, which nobody vouches for yet. */
enum mortise_status vault_floor_while_sealed(struct store *store, struct clock_floor *out_floor)
	MUST_USE;

/* A place where the audit log was damaged; see struct audit_gap. */
struct vault_gap {
	uint64_t sequence;
	uint8_t head[32], key[32];
	char why[256];
	uint64_t found_us;
	uint64_t acknowledged_us; /* 0: not yet; then by whom, and why */
	uint32_t uid;
	char note[VAULT_NOTE_MAX + 1];
};

/* One more. MORTISE_CONFLICT where there are VAULT_GAPS_MAX that nobody has acknowledged. */
enum mortise_status vault_add_gap(struct vault *vault, const struct vault_gap *gap) MUST_USE;
/* The gap after `after` (0: the first); 0: no more. */
uint64_t vault_next_gap(const struct vault *vault, uint64_t after);
enum mortise_status vault_gap(struct vault *vault, uint64_t number, struct vault_gap *out_gap)
	MUST_USE;
/* The same one, with who has acknowledged it. MORTISE_NOT_FOUND. */
enum mortise_status vault_acknowledge_gap(
	struct vault *vault, uint64_t number, const struct vault_gap *gap) MUST_USE;
/* As the disk has them, which nobody vouches for yet. */
typedef void vault_gap_visit(void *context, const struct vault_gap *gap);
enum mortise_status vault_gaps_while_sealed(
	struct store *store, vault_gap_visit *visit, void *context) MUST_USE;

/* The slot after `after` (0: the first); 0: no more. */
uint64_t vault_next_slot(const struct vault *vault, uint64_t after);

/* As it was written. MORTISE_NOT_FOUND. */
enum mortise_status vault_slot(struct vault *vault, uint64_t id, struct slot_copy *out_copy)
	MUST_USE;

/*
 * Makes a slot: a new one (id 0), or in place of the one there is; master_key and label_key of
 * making are the vault's to fill in. MORTISE_CONFLICT where there are VAULT_SLOTS_MAX.
 */
enum mortise_status vault_put_slot(struct vault *vault, uint64_t id,
	const struct slot_making *making, uint64_t *out_id) MUST_USE;
enum mortise_status vault_hint_slot(
	struct vault *vault, uint64_t id, const struct slot_hints *hints) MUST_USE;
/*
 * Sets when the slot was opened and tested last, as hints has it, for people: opens and refuses
 * nothing, so that it carries no weight (struct vault_age).
 */
enum mortise_status vault_date_slot(
	struct vault *vault, uint64_t id, const struct slot_hints *hints) MUST_USE;

/*
 * Removes it, from the write-ahead log, too. MORTISE_CONFLICT for the last that is there to stay.
 */
enum mortise_status vault_remove_slot(struct vault *vault, uint64_t id) MUST_USE;

/* MORTISE_OK if h opens the slot and what is in it is this vault's master key. */
enum mortise_status vault_try_slot(struct vault *vault, uint64_t id, const struct secret *h)
	MUST_USE;

/* How old the store is, for an anchor that compares it with a counter in hardware. */
struct vault_age {
	uint64_t generation;
	uint64_t commits; /* since it was opened, but for those of an audit state or a floor */
	uint64_t weighty; /* those of them that changed a policy, or a slot but for its dates */
};

struct vault_age vault_age(const struct vault *vault);

/* Those commits bring the generation to the target, if it is below. */
void vault_set_target_generation(struct vault *vault, uint64_t target);
/* A commit that says nothing but the target. */
enum mortise_status vault_raise_generation(struct vault *vault) MUST_USE;

/* What finds the anchor and authorises its use; NULL takes it away. The generation becomes this. */
enum mortise_status vault_set_anchor(
	struct vault *vault, const struct secret *anchor, uint64_t generation) MUST_USE;
/* MORTISE_NOT_FOUND: the store has none. */
enum mortise_status vault_anchor(struct vault *vault, struct secret **out_anchor) MUST_USE;

#endif
