/* SPDX-License-Identifier: ISC */
/*
 * lifecycle: how the agent comes to hold its master key, and lets go of it.
 * Uninitialised -> (init) -> unsealed <-> sealed. Hardware is asked one operation at a time; where
 * a fault may pass it is tried again with back-off, unless an admin sealed the agent: that seal
 * holds over restarts until `unseal`, or until the next boot.
 * Owns store and vault. Knows nothing of callers; policy and audit hang on its hooks.
 */
#ifndef MORTISE_LIFECYCLE_H
#define MORTISE_LIFECYCLE_H

#include "making.h"
#include "recovering.h"

struct lifecycle;

struct lifecycle_parts {
	struct event_base *base;
	struct sealer_link *sealer;
	struct audit *audit;
	const char *store_directory;
	uint32_t first_uid; /* may do everything by the first policy */
	int anchor_window_s;
	struct lifecycle_hooks hooks;
};

/* Opens the store file. MORTISE_INTEGRITY or MORTISE_IO with the reason logged. */
enum mortise_status lifecycle_new(
	const struct lifecycle_parts *parts, struct lifecycle **out_lifecycle) MUST_USE;
void lifecycle_free(struct lifecycle *lifecycle);

/* Unseals by itself, if there is something to unseal and no admin's seal holds. */
void lifecycle_start(struct lifecycle *lifecycle);

enum lifecycle_state lifecycle_state(const struct lifecycle *lifecycle);
const char *lifecycle_state_name(const struct lifecycle *lifecycle);
/* NULL unless unsealed. */
struct vault *lifecycle_vault(const struct lifecycle *lifecycle);
/* One line for admins: what happened and what to do next; "" where there is nothing to say. */
const char *lifecycle_reason(const struct lifecycle *lifecycle);
/* Microseconds since 1970 of the last change of state. */
uint64_t lifecycle_since(const struct lifecycle *lifecycle);
/* The ids of the keys that can be typed, as the store says; "" if unknown. */
const char *lifecycle_recovery_id(const struct lifecycle *lifecycle);
/* "1 tpm2, 2 recovery": the slots as the store says. False where there are none. */
bool lifecycle_slots(const struct lifecycle *lifecycle, char *buffer, size_t size) MUST_USE;
/*
 * The slot that somebody who types its PIN could open; it stays until the end of the next turn, so
 * that a question needs not be taken back for each. 0: none, or an admin wants it sealed.
 */
uint64_t lifecycle_waits_for_pin(const struct lifecycle *lifecycle);
/*
 * Makes a store with a slot of kind ("tpm2", or NULL: none), sealed as wished, and a recovery
 * slot; with has_anchor, a counter in the same TPM tells old copies of it. done is called later,
 * once, with the recovery key; before the store is made, is_wanted says whether somebody still
 * waits for that key. MORTISE_CONFLICT if there is a store, MORTISE_BUSY while another operation
 * runs: then done is not called.
 */
enum mortise_status lifecycle_init(struct lifecycle *lifecycle, const struct making_wish *wish,
	lifecycle_done *done, void *context) MUST_USE;

/*
 * Asks the hardware slots in turn; the seal's hold ends. The PIN is copied, and given to one slot
 * only. As above.
 */
enum mortise_status lifecycle_unseal(struct lifecycle *lifecycle, const struct lifecycle_pin *pin,
	lifecycle_done *done, void *context) MUST_USE;

/*
 * Opens a slot whose key is typed (recovery, shares joined, escrow). done is called once, perhaps
 * at once. It is not after MORTISE_DENIED for another key, MORTISE_NOT_FOUND without such a slot,
 * MORTISE_BUSY while somebody else does the same, or what is wrong with the store.
 */
enum mortise_status lifecycle_unseal_typed(struct lifecycle *lifecycle,
	const struct secret *recovery_key, lifecycle_done *done, void *context) MUST_USE;

/* What is done to slots while it is unsealed. */
struct slot_worker *lifecycle_slot_worker(struct lifecycle *lifecycle);
/* When the slot was opened by this process, if it is the one; else 0. */
uint64_t lifecycle_slot_opened_us(const struct lifecycle *lifecycle, uint64_t id);

/* Is it being opened for somebody, or its age being checked? */
bool lifecycle_is_opening(const struct lifecycle *lifecycle);

/*
 * Opens a sealed store by a typed key whatever its anchor says, enrols hardware anew and removes
 * what was there; with an owner the copy that came in takes the store's place. done is called
 * later, once, with what was done; not after a dry run, or after MORTISE_DENIED (another key),
 * MORTISE_NOT_FOUND (no typed slot, or nothing came in), MORTISE_CONFLICT (it is unsealed, or
 * there is no store), MORTISE_BUSY, or what is wrong with the store.
 */
enum mortise_status lifecycle_recover(struct lifecycle *lifecycle, const struct recovery_wish *wish,
	lifecycle_done *done, void *context) MUST_USE;

/* Is there a reason for lifecycle_recover() to wait for another operation? */
bool lifecycle_is_busy(const struct lifecycle *lifecycle);

/* Where the audit log was damaged, as the disk says it; none before there is a store. */
void lifecycle_gaps_while_sealed(
	const struct lifecycle *lifecycle, vault_gap_visit *visit, void *context);

/* After vault_count_by(): counts, in slices, the first of them at once. */
void lifecycle_count(struct lifecycle *lifecycle);

/*
 * Whether what is done to the store from now on may take of the reserve, where its disk is full:
 * for those who free room.
 */
void lifecycle_lend_reserve(struct lifecycle *lifecycle, bool is_lent);
/* Are the store's disk, and the room that its file has for new rows, so full that only they may
 * write? */
bool lifecycle_disk_is_low(const struct lifecycle *lifecycle, uint64_t *out_free);

/* For a dry run: until it is over, whatever would change the store says what it would, or fails. */
void lifecycle_rehearse(struct lifecycle *lifecycle, bool is_rehearsal);

/* The anchor of the open store, if it has one. */
struct anchor_report lifecycle_anchor(const struct lifecycle *lifecycle);
/* Between turns. */
void lifecycle_upkeep(struct lifecycle *lifecycle);

/*
 * Is this the store's recovery key? Changes nothing. MORTISE_DENIED for another key;
 * MORTISE_NOT_FOUND without a recovery slot.
 */
enum mortise_status lifecycle_check_recovery(
	struct lifecycle *lifecycle, const struct secret *recovery_key) MUST_USE;

/* The store's copies on their way out and in. */
struct backup *lifecycle_backup(const struct lifecycle *lifecycle);
/* backup_copy() of the store as it is; while it is unsealed. */
enum mortise_status lifecycle_copy(struct lifecycle *lifecycle, const void *owner,
	uint64_t *out_done, uint64_t *out_total) MUST_USE;

/* Is it sealed by an admin, so that it stays sealed? A seal that cannot be read holds. */
bool lifecycle_is_held(const struct lifecycle *lifecycle);
/* And just so: until the next boot, or beyond it? */
bool lifecycle_is_held_so(const struct lifecycle *lifecycle, bool until_boot);

/* Forgets every key and value. The hold is on disk first. */
enum mortise_status lifecycle_seal(struct lifecycle *lifecycle, bool until_boot) MUST_USE;

/*
 * Begins a new master key (vault_rekey); the rest of it is done between requests, whoever asked
 * for it stays or not. A seal drops it. hooks.record hears of its end, as "rekeyed".
 * MORTISE_BUSY while one is under way or the last one's rows are not all removed.
 */
enum mortise_status lifecycle_rekey(struct lifecycle *lifecycle, bool reencrypt) MUST_USE;

struct lifecycle_rekeying lifecycle_rekeying(const struct lifecycle *lifecycle);

/* Has a write failed so that the store has to be opened anew? Nothing is written until it is. */
bool lifecycle_is_unsure(const struct lifecycle *lifecycle);
/*
 * Then opens it anew, with the keys that are here: it serves as before if the store is what it was
 * or what that write was to make of it, and is sealed, with the reason, if it is another. As long
 * as the disk fails it stays as it is, and this is to be called again.
 */
void lifecycle_look_again(struct lifecycle *lifecycle);

#endif
