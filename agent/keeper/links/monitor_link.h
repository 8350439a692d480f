/* SPDX-License-Identifier: ISC */
/*
 * monitor_link: the keeper's end of its socket to the monitor (processes.h).
 * Asks, and hands each answer to whoever asked. Knows nothing of what is asked.
 */
#ifndef MORTISE_MONITOR_LINK_H
#define MORTISE_MONITOR_LINK_H

#include <event2/event.h>

#include "wire.h"

struct monitor_link;

/* Seconds that a monitor has for an answer; a name service has ten of them (names.h). */
#define MONITOR_ANSWER_LIMIT_S 15

/* answer is NULL if the monitor is gone, or did not answer in time. descriptor (or -1) is the
 * callee's to close. */
typedef void monitor_answer(void *context, const struct wire_message *answer, int descriptor);

struct monitor_hooks {
	/* Once, when the monitor is gone: the keeper then ends. */
	void (*lost)(void *context);
	/* A CONFIGURE after the first. */
	void (*configured)(void *context, const struct wire_message *frame);
};

enum mortise_status monitor_link_new(struct event_base *base, int descriptor,
	const struct monitor_hooks *hooks, void *context, struct monitor_link **out_link) MUST_USE;
void monitor_link_free(struct monitor_link *link);

/* Starts a frame; its fields are put with the writer, then it is asked or told. */
struct wire_writer *monitor_begin(struct monitor_link *link, uint16_t code);
/*
 * Asks, for an answer within limit_s seconds; 0: whenever it comes. MORTISE_BUSY when too much is
 * pending or the socket is full: then answer is not called.
 */
enum mortise_status monitor_ask(struct monitor_link *link, unsigned limit_s, monitor_answer *answer,
	void *context) MUST_USE;
/* For what has no answer. */
enum mortise_status monitor_tell(struct monitor_link *link) MUST_USE;

#endif
