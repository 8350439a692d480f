/* SPDX-License-Identifier: ISC */
/*
 * passing: slots that are there for a while beside another. What becomes of those that are staged,
 * and of stand-ins, when a slot has opened the store and when their time is over.
 */
#ifndef MORTISE_PASSING_H
#define MORTISE_PASSING_H

#include "slot_work.h"

struct passing {
	struct holding *holding;
	struct slot_worker *worker;
	struct event *ends; /* when the next stand-in ends */
	unsigned seen;      /* of the changes of slots */
	uint64_t opened_us; /* when the slot opened that was the last to */
};

enum mortise_status passing_init(struct passing *passing, struct event_base *base,
	struct holding *holding, struct slot_worker *worker) MUST_USE;
void passing_done(struct passing *passing);

/* What a slot's opening means for the others, while the vault is just open. */
void passing_after_opening(struct passing *passing, uint64_t opened, uint64_t opened_us);
/* Removes the stand-ins whose time is over, and comes back for the others. */
void passing_look(struct passing *passing);
/* Between turns: looks where slots have changed. */
void passing_upkeep(struct passing *passing);
/* The vault is about to be closed. */
void passing_stop(struct passing *passing);

#endif
