/* SPDX-License-Identifier: ISC */
/*
 * lifecycle_parts: the lifecycle's state, and what its files do for one another: where it stands
 * (_state), opening (_open, _reopen) and asking for keys (_unseal), making a store (_init) and
 * getting one back (_recover), slots (_slots, _work, _upkeep) and the vault's own work
 * (_rekey). Nobody else includes it.
 */
#ifndef MORTISE_LIFECYCLE_PARTS_H
#define MORTISE_LIFECYCLE_PARTS_H

#include <event2/event.h>

#include "clock.h"
#include "lifecycle.h"
#include "lifecycle_work.h"
#include "reserve.h"
#include "slots.h"

#define SLOTS_MAX VAULT_SLOTS_MAX

/* A slot's record, kept while sealed: what is needed to ask for its h. */
struct kept_slot {
	uint64_t id;
	uint8_t *record;
	size_t size;
};

/* The hardware slots being asked in turn. */
struct turn {
	size_t order[SLOTS_MAX]; /* indices of kept slots */
	size_t count, at;
	bool is_attended;   /* somebody asked for it, and a PIN may be tried again */
	bool may_pass;      /* a fault that may be gone later */
	bool was_asked;     /* did hardware answer at all? */
	bool is_found;      /* the token that a PIN is for is there, and well */
	bool is_foreign;    /* some opened, and was not this store's */
	uint64_t wants_pin; /* the first slot that was left out, or failed, for lack of its PIN */
	struct secret *pin; /* NULL: none, or used up */
	char pin_kind[SLOT_KIND_SIZE];
	uint64_t
		pin_for; /* the slot to whose family the PIN belongs; 0: the first that wants one */
};

/* A vault that was opened serves now, or does not: then the reason says why. */
typedef void lifecycle_opened(struct lifecycle *lifecycle, enum mortise_status status);

struct lifecycle {
	struct lifecycle_parts parts;
	struct store *store;
	struct vault *vault;
	struct anchor *anchor;
	struct reserve *reserve;
	uint64_t filled_us; /* when, of CLOCK_MONOTONIC; 0: never */
	struct backup *backup;
	enum lifecycle_state state;
	uint64_t since_us;
	char reason[1000];
	char recovery_id[SLOTS_MAX * (RECOVERY_ID_SIZE + 1)]; /* of all that are typed */

	struct kept_slot slots[SLOTS_MAX];
	size_t slot_count;
	bool slots_are_old; /* the store has others, which could not be read */
	struct turn turn;
	struct turn next; /* with a PIN that was typed while another turn was under way */

	struct vault *candidate; /* opened by a slot, but its age is being checked */
	lifecycle_opened *opened;
	bool check_waits;           /* for the sealer to be free */
	bool check_may_pass;        /* what the check failed by may be gone later */
	bool is_unsure;             /* the store is to be opened anew, and could not be yet */
	lifecycle_done *typed_done; /* of a key that was typed; NULL: nobody waits */
	void *typed_context;

	uint64_t asked_id; /* the slot whose hardware was asked last for its h */
	uint64_t pin_slot; /* that waits for its PIN, as far as the last turn went; 0: none */
	struct event *retry;
	unsigned attempts;
	char recorded[512]; /* why the last attempt failed that is in the log */

	struct event *vault_work; /* between requests */
	struct lifecycle_rekeying rekeying;

	lifecycle_done *done; /* of the operation under way; NULL: nobody waits */
	void *context;
	struct making *making;          /* an init under way */
	struct recovering *recovering;  /* a recovery under way */
	struct slot_work *work;         /* on a slot, under way; while unsealed only */
	struct health_question *health; /* a slot's hardware is asked for its state; NULL: none */
	struct event *ends;             /* when the next stand-in ends */
	uint64_t opened_id, opened_us;  /* the slot by which it was unsealed last */
};

void lifecycle_set_state(struct lifecycle *lifecycle, enum lifecycle_state state);
/* Sets the reason and tells the hooks. */
void lifecycle_explain(struct lifecycle *lifecycle, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Forgets the vault and its keys. */
void lifecycle_close_vault(struct lifecycle *lifecycle);
/* Opens a store that was shut since it could not be opened anew. */
enum mortise_status lifecycle_have_store(struct lifecycle *lifecycle) MUST_USE;
/* The store could not be read (MORTISE_BUSY, MORTISE_IO): why, and what next. */
void lifecycle_explain_lack(struct lifecycle *lifecycle, enum mortise_status status);
/* Ends the operation that somebody waits for, if so. */
void lifecycle_finish(struct lifecycle *lifecycle, enum mortise_status status, const char *text,
	const struct secret *recovery);
void lifecycle_finish_typed(
	struct lifecycle *lifecycle, enum mortise_status status, const char *text);
void lifecycle_forget_slots(struct lifecycle *lifecycle);
/* The record was checked when it was kept. */
struct slot lifecycle_slot_of(const struct kept_slot *kept);
/* The kernel's id of this boot, or "" where it has none. */
void lifecycle_boot_id(char out_id[SLOT_BOOT_SIZE]);
/*
 * PINs that are being tried, or were and are not known to be right: on disk, outside the tally,
 * since they are written while sealed.
 */
enum mortise_status lifecycle_note_pin(struct lifecycle *lifecycle, uint64_t slot, bool is_noted)
	MUST_USE;
enum mortise_status lifecycle_find_pin(
	const struct lifecycle *lifecycle, uint64_t slot, bool *out_noted) MUST_USE;
/* Where the disk does not say it, it is taken for noted. */
bool lifecycle_pin_is_noted(const struct lifecycle *lifecycle, uint64_t slot);
/* Does an admin's seal hold? Where the disk does not say it, it is to be taken for one that does.
 */
enum mortise_status lifecycle_find_hold(const struct lifecycle *lifecycle, bool *out_holds)
	MUST_USE;
/* Sets the hold and keeps the notes. */
enum mortise_status lifecycle_set_hold(struct lifecycle *lifecycle, const char *word) MUST_USE;
/* What the store keeps of an admin's seal. */
void lifecycle_hold_word(bool until_boot, char out_word[STORE_HOLD_MAX]);
/* After a change of slots; where they cannot be read now they are before they are needed. */
void lifecycle_keep_slots(struct lifecycle *lifecycle);
/* Reads them if they could not be read. */
enum mortise_status lifecycle_have_slots(struct lifecycle *lifecycle) MUST_USE;
/* Reads the slots of the store; after a failure those from before stay. */
enum mortise_status lifecycle_load_slots(struct lifecycle *lifecycle) MUST_USE;
/*
 * Opens the vault with a slot's h, and has its age checked; then, perhaps at once, opened is
 * called. It is not after a failure: MORTISE_DENIED if h is not the slot's; for anything else the
 * reason says why not. *out_fits: what is wrong is not the slot.
 */
enum mortise_status lifecycle_open_with(struct lifecycle *lifecycle, const struct kept_slot *kept,
	const struct secret *h, lifecycle_opened *opened, bool *out_fits) MUST_USE;
/* Keeps a vault that was checked, if all that is needed to serve can be had from it. */
enum mortise_status lifecycle_accept(struct lifecycle *lifecycle, struct vault *vault) MUST_USE;
/* Begins the candidate's check, or tries again to. */
void lifecycle_check_age(struct lifecycle *lifecycle);
/* Nobody is told. */
void lifecycle_drop_candidate(struct lifecycle *lifecycle);
/* By the retry timer. */
void lifecycle_try_later(struct lifecycle *lifecycle);
/* Takes up unsealing by the hardware; attended: somebody waits for it. */
void lifecycle_begin_turn(struct lifecycle *lifecycle, bool is_attended);
void lifecycle_end_turn(struct lifecycle *lifecycle);
void lifecycle_retry(struct lifecycle *lifecycle);
/* A vault has just been opened, or is about to be closed. */
void lifecycle_begin_work(struct lifecycle *lifecycle);
void lifecycle_end_work(struct lifecycle *lifecycle);
/* For the timer: one slice of the vault's work. */
void lifecycle_on_work(evutil_socket_t fd, short what, void *context);
void making_free(struct making *making);
void recovering_free(struct lifecycle *lifecycle);
/* Whoever waits for it is told that it was sealed meanwhile. */
void lifecycle_cancel_recovery(struct lifecycle *lifecycle);

/* Whoever waits for a slot's hardware is told that it was sealed meanwhile. */
void slot_work_cancel(struct lifecycle *lifecycle);
/* What a slot's opening means for the others, while the vault is just open. */
void lifecycle_after_opening(struct lifecycle *lifecycle, uint64_t id);
void lifecycle_arm_ends(struct lifecycle *lifecycle);
/* The same, soon. */
void lifecycle_look_at_ends(struct lifecycle *lifecycle);
/* What a failed answer about a slot of the open vault means: what happened; what next. */
void lifecycle_describe_test(struct lifecycle *lifecycle, uint64_t id,
	const struct sealer_answer *answer, char *buffer, size_t size);

#endif
