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

#include "audit.h"
#include "backup.h"
#include "sealer_link.h"
#include "vault.h"

enum lifecycle_state {
	LIFECYCLE_UNINITIALISED,
	LIFECYCLE_SEALED,
	LIFECYCLE_UNSEALING, /* sealed, and hardware is being asked */
	LIFECYCLE_UNSEALED,
};

struct lifecycle;

struct lifecycle_hooks {
	/*
	 * The vault has just been opened: what is more needed before it serves (policy, audit
	 * keys). Anything but MORTISE_OK keeps the agent sealed, with the reason given.
	 */
	enum mortise_status (*opened)(void *context, struct vault *vault, const char **out_reason);
	/* The vault is about to be closed. */
	void (*closing)(void *context);
	/* The state or its reason changed. */
	void (*changed)(void *context);
	/* What the agent did by itself, for the audit; rule and path are none. */
	void (*record)(
		void *context, const char *operation, enum mortise_status result, const char *note);
	void *context;
};

struct lifecycle_parts {
	struct event_base *base;
	struct sealer_link *sealer;
	struct audit *audit;
	const char *store_directory;
	uint32_t first_uid; /* may do everything by the first policy */
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
/* The recovery key's id as the store says, "" if unknown. */
const char *lifecycle_recovery_id(const struct lifecycle *lifecycle);
/* Text of the policy that init applies: uid may do everything. */
size_t lifecycle_first_policy(uint32_t uid, char *buffer, size_t size);

/* text: one line about a failure, "" if none; recovery: after init only, borrowed. */
typedef void lifecycle_done(
	void *context, enum mortise_status status, const char *text, const struct secret *recovery);

/*
 * Makes a store with a slot of kind ("tpm2", or NULL: none) and a recovery slot. done is called
 * later, once, with the recovery key; before the store is made, is_wanted says whether somebody
 * still waits for that key. MORTISE_CONFLICT if there is a store, MORTISE_BUSY while another
 * operation runs: then done is not called.
 */
enum mortise_status lifecycle_init(struct lifecycle *lifecycle, const char *kind,
	bool (*is_wanted)(void *context), lifecycle_done *done, void *context) MUST_USE;

/* Asks the hardware slots in turn; the seal's hold ends. As above. */
enum mortise_status lifecycle_unseal(
	struct lifecycle *lifecycle, lifecycle_done *done, void *context) MUST_USE;

/*
 * Opens the recovery slot, at once. MORTISE_DENIED for another key; MORTISE_NOT_FOUND without
 * a recovery slot.
 */
enum mortise_status lifecycle_recover(
	struct lifecycle *lifecycle, const struct secret *recovery_key) MUST_USE;

/* The store's copies on their way out and in. */
struct backup *lifecycle_backup(const struct lifecycle *lifecycle);
/* backup_copy() of the store as it is; while it is unsealed. */
enum mortise_status lifecycle_copy(struct lifecycle *lifecycle, const void *owner,
	uint64_t *out_done, uint64_t *out_total) MUST_USE;

/* Is it sealed by an admin, so that it stays sealed? */
bool lifecycle_is_held(const struct lifecycle *lifecycle);

/* Forgets every key and value. The hold is on disk first. */
enum mortise_status lifecycle_seal(struct lifecycle *lifecycle, bool until_boot) MUST_USE;

/* The vault went stale (vault_is_stale): reads the store anew by way of the hardware. */
void lifecycle_reopen(struct lifecycle *lifecycle);

#endif
