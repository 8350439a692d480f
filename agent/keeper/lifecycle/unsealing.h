/* SPDX-License-Identifier: ISC */
/*
 * unsealing: the way to the master key. Hardware slots are asked in turn, by itself or for somebody
 * who may have typed a PIN; or somebody types a key.
 */
#ifndef MORTISE_UNSEALING_H
#define MORTISE_UNSEALING_H

#include "opening.h"

/* The hardware slots being asked in turn. */
struct turn {
	size_t order[VAULT_SLOTS_MAX]; /* indices of kept slots */
	size_t count, at;
	bool is_attended;   /* somebody asked for it, and a PIN may be tried again */
	bool may_pass;      /* a fault that may be gone later */
	bool was_asked;     /* did hardware answer at all? */
	bool is_found;      /* the token that a PIN is for is there, and well */
	bool is_foreign;    /* some opened, and was not this store's */
	uint64_t wants_pin; /* the first slot that was left out, or failed, for lack of its PIN */
	struct secret *pin; /* NULL: none, or used up */
	char pin_kind[SLOT_KIND_SIZE];
	uint64_t pin_for; /* the slot to whose family it belongs; 0: the first that wants one */
};

struct unsealing {
	struct holding *holding;
	struct opening *opening;
	struct passing *passing;

	struct turn turn;
	struct turn next;    /* with a PIN that was typed while another turn was under way */
	uint64_t asked_id;   /* the slot whose hardware was asked last for its h */
	uint64_t pin_slot;   /* that waits for its PIN, as far as the last turn went; 0: none */
	char recorded[1000]; /* why the last attempt failed that is in the log */
	struct waiter asked; /* for the turn */
	struct waiter typed; /* for what comes of the key that he typed */
};

/* A PIN that somebody typed. */
struct lifecycle_pin {
	const struct secret *pin; /* NULL: none */
	const char *kind;         /* of the slot that it is for; NULL: any */
	uint64_t slot;            /* 0: the first that wants one */
};

/* By itself, unless an admin's seal holds. There is a store. */
void unsealing_start(struct unsealing *unsealing);
/* As lifecycle_unseal() and lifecycle_unseal_typed(). */
enum mortise_status unsealing_ask(struct unsealing *unsealing, const struct lifecycle_pin *pin,
	const struct waiter *waiter) MUST_USE;
enum mortise_status unsealing_type(struct unsealing *unsealing, const struct secret *key,
	const struct waiter *waiter) MUST_USE;
bool unsealing_is_awaited(const struct unsealing *unsealing);

/* What hardware says from now on comes too late; who waits goes on to. */
void unsealing_end_turn(struct unsealing *unsealing);
/* The same, and no PIN is wanted any more. */
void unsealing_stop(struct unsealing *unsealing);
/* Tells whoever waits. */
void unsealing_give_up(struct unsealing *unsealing, enum mortise_status status, const char *text);

#endif
