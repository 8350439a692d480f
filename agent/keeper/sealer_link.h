/* SPDX-License-Identifier: ISC */
/*
 * sealer_link: one operation of one sealer process at a time.
 * Asks the monitor for a sealer, sends the request, checks the answer: it is hostile input.
 * A sealer that dies or hangs is an answer with a fault, never an outage.
 * Knows nothing of slots, nor of what h is for.
 */
#ifndef MORTISE_SEALER_LINK_H
#define MORTISE_SEALER_LINK_H

#include "monitor_link.h"
#include "secret.h"
#include "store.h"
#include "token.h"

#define SEALER_OVERDUE_MS 30000 /* unless it is set */

struct sealer_link;

struct sealer_answer {
	enum mortise_status status;
	struct secret *h;        /* secret_take() it to keep it; 32 bytes */
	struct store_bytes blob; /* of an enrolment; valid during the call */
	enum token_fault fault;  /* of MORTISE_HARDWARE */
	char detail[256];        /* what the hardware said, printable; may be "" */
};

typedef void sealer_done(void *context, struct sealer_answer *answer);

enum mortise_status sealer_link_new(struct event_base *base, struct monitor_link *monitor,
	struct sealer_link **out_link) MUST_USE;
void sealer_link_free(struct sealer_link *link);

/* After how long the end of a sealer without an answer means that the hardware hung. */
void sealer_link_set_deadline(struct sealer_link *link, int overdue_ms);

/* kind is the slot's. MORTISE_BUSY while another operation runs: then done is not called. */
enum mortise_status sealer_enrol(
	struct sealer_link *link, const char *kind, sealer_done *done, void *context) MUST_USE;
enum mortise_status sealer_open(struct sealer_link *link, const char *kind, struct store_bytes blob,
	sealer_done *done, void *context) MUST_USE;

#endif
