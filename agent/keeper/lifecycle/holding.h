/* SPDX-License-Identifier: ISC */
/*
 * holding: what the agent has of its store, and where that stands.
 * The file; while it is sealed its slots, an admin's seal and the PINs that failed; while it is
 * open the vault; the state, in words for admins; and when what may pass is tried again. What is
 * under way (an opening, an init ...) is a thing of its own above it.
 */
#ifndef MORTISE_HOLDING_H
#define MORTISE_HOLDING_H

#include <event2/event.h>

#include "anchor.h"
#include "audit.h"
#include "backup.h"
#include "reserve.h"
#include "sealer_link.h"
#include "slots.h"
#include "vault.h"

enum lifecycle_state {
	LIFECYCLE_UNINITIALISED,
	LIFECYCLE_SEALED,
	LIFECYCLE_UNSEALING, /* sealed, and hardware is being asked */
	LIFECYCLE_UNSEALED,
};

struct lifecycle_hooks {
	/*
	 * The vault has just been opened: what is more needed before it serves (policy, audit
	 * keys). Anything but MORTISE_OK keeps the agent sealed, with the reason given.
	 */
	enum mortise_status (*opened)(void *context, struct vault *vault, const char **out_reason);
	/*
	 * The store was read anew (lifecycle_look_again): what was taken from the vault may be
	 * another by now. Anything but MORTISE_OK: it is asked again.
	 */
	enum mortise_status (*reread)(void *context, struct vault *vault);
	/* The vault is about to be closed. */
	void (*closing)(void *context);
	/* The state or its reason changed. */
	void (*changed)(void *context);
	/* What the agent did by itself, for the audit; rule and path are none. */
	void (*record)(
		void *context, const char *operation, enum mortise_status result, const char *note);
	/* While all rows are read, and the loop does not turn. NULL: nobody minds. */
	void (*reading)(void *context);
	void *context;
};

/* text: one line about a failure, "" if none; recovery: after init only, borrowed. */
typedef void lifecycle_done(
	void *context, enum mortise_status status, const char *text, const struct secret *recovery);

/* Who waits for the end of an undertaking; done is NULL where nobody does. */
struct waiter {
	lifecycle_done *done;
	void *context;
};
/* Tells him, once: then nobody waits. */
void waiter_tell(struct waiter *waiter, enum mortise_status status, const char *text,
	const struct secret *recovery);

#define HOLDING_RECOVERY_ID (VAULT_SLOTS_MAX * (RECOVERY_ID_SIZE + 1))

/* A slot, kept while sealed: what is needed to ask for its h. */
struct kept_slot {
	uint64_t id;
	struct slot_copy copy;
};

struct holding {
	struct lifecycle_hooks hooks;
	struct sealer_link *sealer; /* this and audit are the keeper's */
	struct audit *audit;
	struct store *store;
	struct vault *vault; /* NULL unless unsealed */
	bool is_unsure;      /* the store is to be opened anew, and could not be yet */
	struct anchor *anchor;
	struct reserve *reserve;
	struct backup *backup;

	enum lifecycle_state state;
	uint64_t since_us;
	char reason[1000];

	struct kept_slot slots[VAULT_SLOTS_MAX];
	size_t slot_count;
	bool slots_are_old;                    /* the store has others, which could not be read */
	unsigned slot_changes;                 /* so far, so that one is noticed */
	char recovery_id[HOLDING_RECOVERY_ID]; /* of all that are typed */

	struct event *retry;
	unsigned attempts;
};

/*
 * All but the store, which is opened by holding_open(); to be ended by holding_done() after a
 * failure, too. On the retry timer `retry` is called with context.
 */
enum mortise_status holding_init(struct holding *holding, struct event_base *base,
	const char *directory, int anchor_window_s, event_callback_fn retry, void *context)
	MUST_USE;
/* MORTISE_OK without a store, too: then it is uninitialised. */
enum mortise_status holding_open(struct holding *holding, const char *directory) MUST_USE;
/* The vault is closed already. */
void holding_done(struct holding *holding);

/* ---- where it stands ---- */

void holding_set_state(struct holding *holding, enum lifecycle_state state);
/* Sets the reason and tells the hooks. */
void holding_explain(struct holding *holding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The store could not be read (MORTISE_BUSY, MORTISE_IO): why, and what next. */
void holding_explain_lack(struct holding *holding, enum mortise_status status);
/* What the agent did by itself. */
void holding_record(const struct holding *holding, const char *operation,
	enum mortise_status result, const char *note);
/* By the retry timer, later each time. */
void holding_try_later(struct holding *holding);
void holding_try_no_more(struct holding *holding);
/* Has a write failed so that the store has to be opened anew? Nothing is written until it is. */
bool holding_is_unsure(const struct holding *holding);

/* ---- what is kept of the store ---- */

/* Opens a store that was shut since it could not be opened anew, and reads its slots. */
enum mortise_status holding_have_store(struct holding *holding) MUST_USE;
/* Reads the slots of the store; after a failure those from before stay. */
enum mortise_status holding_load_slots(struct holding *holding) MUST_USE;
/* After a change of slots; where they cannot be read now they are before they are needed. */
void holding_keep_slots(struct holding *holding);
/* Reads them if they could not be read. */
enum mortise_status holding_have_slots(struct holding *holding) MUST_USE;
/* As lifecycle_slots(). */
bool holding_describe_slots(const struct holding *holding, char *buffer, size_t size) MUST_USE;
/* As lifecycle_check_recovery(). */
enum mortise_status holding_check_recovery(struct holding *holding, const struct secret *key)
	MUST_USE;

/*
 * PINs that are being tried, or were and are not known to be right: on disk, outside the tally,
 * since they are written while sealed.
 */
enum mortise_status holding_note_pin(struct holding *holding, uint64_t slot, bool is_noted)
	MUST_USE;
enum mortise_status holding_find_pin(const struct holding *holding, uint64_t slot, bool *out_noted)
	MUST_USE;
/* Where the disk does not say it, it is taken for noted. */
bool holding_pin_is_noted(const struct holding *holding, uint64_t slot);

/* Does an admin's seal hold? Where the disk does not say it, it is to be taken for one that does.
 */
enum mortise_status holding_find_seal(const struct holding *holding, bool *out_holds) MUST_USE;
/* Does it hold just so: until the next boot, or beyond it? */
bool holding_is_sealed_so(const struct holding *holding, bool until_boot);
/* Both keep the notes of PINs. */
enum mortise_status holding_put_seal(struct holding *holding, bool until_boot) MUST_USE;
enum mortise_status holding_lift_seal(struct holding *holding) MUST_USE;

/* The kernel's id of this boot, or "" where it has none. */
void holding_boot_id(char out_id[SLOT_BOOT_SIZE]);

#endif
