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
	struct secret *h;        /* of an enrolment or an opening; secret_take() it to keep it */
	struct store_bytes blob; /* of an enrolment, or a counter's place; valid during the call */
	struct store_bytes uri;  /* of an enrolment for a URI: what was found by it; the same */
	uint64_t counter;        /* of an anchor */
	struct token_health health;
	enum token_fault fault; /* of MORTISE_HARDWARE */
	bool is_unsent;         /* of MORTISE_BUSY: the hardware was not asked */
	char detail[256];       /* what the hardware said, printable; may be "" */
};

/*
 * Called once. If it asks for an anchor after a success, it is the same sealer that is asked: its
 * session with the hardware is still open.
 */
typedef void sealer_done(void *context, struct sealer_answer *answer);

enum mortise_status sealer_link_new(struct event_base *base, struct monitor_link *monitor,
	struct sealer_link **out_link) MUST_USE;
void sealer_link_free(struct sealer_link *link);

/* After how long the end of a sealer without an answer means that the hardware hung. */
void sealer_link_set_deadline(struct sealer_link *link, int overdue_ms);

/*
 * What is done between two questions takes long: a sealer that waits for the second one, and would
 * be ended for that, may go. The second is asked of another.
 */
void sealer_rest(struct sealer_link *link);

bool sealer_is_busy(const struct sealer_link *link);

/*
 * Whoever asked with this context is not told any more. The hardware is at it all the same: until
 * it has answered the link stays busy.
 */
void sealer_forget(struct sealer_link *link, const void *context);

/*
 * kind is the slot's; a wish's and a PIN's bytes are copied. MORTISE_BUSY while another operation
 * runs; behind an anchor, which nobody waits for, one of the others waits its turn. MORTISE_INVALID
 * if it is larger than a frame: then done is not called.
 */
enum mortise_status sealer_enrol(struct sealer_link *link, const char *kind,
	const struct token_wish *wish, sealer_done *done, void *context) MUST_USE;
/* pin: NULL for none. */
enum mortise_status sealer_open(struct sealer_link *link, const char *kind, struct store_bytes blob,
	const struct secret *pin, sealer_done *done, void *context) MUST_USE;
enum mortise_status sealer_anchor(struct sealer_link *link, const char *kind,
	const struct token_anchor *anchor, sealer_done *done, void *context) MUST_USE;
/* What the hardware of a slot says of itself; opens nothing. */
enum mortise_status sealer_health(struct sealer_link *link, const char *kind,
	struct store_bytes blob, sealer_done *done, void *context) MUST_USE;

#endif
