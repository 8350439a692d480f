/* SPDX-License-Identifier: ISC */
/*
 * request_policy_suppose: of whom an admin asks what the policy says. The names among his
 * attributes are looked up before it is judged. What cannot be had about anybody here is no
 * fact about those who are supposed either. Shared by request_policy_check.c and
 * request_policy_who.c; nobody else includes it.
 */
#ifndef MORTISE_REQUEST_POLICY_SUPPOSE_H
#define MORTISE_REQUEST_POLICY_SUPPOSE_H

#include "exchange.h"

#define SUPPOSE_GROUPS_MAX 16 /* names in GROUP */

struct supposed {
	/* Set by the handler. What nobody said is no fact, not one that no rule names. */
	bool leaves_ungathered;
	/* Once all names are known, in the policy of that moment. */
	enum mortise_status (*judge)(struct supposed *supposed);
	void (*put)(struct wire_writer *reply, const void *supposed);
	void (*release)(void *supposed);

	struct agent *agent;
	struct requester *from; /* while it judges; NULL: the connection ended */
	const struct operation *operation;
	struct clock_now now;
	char user[64];                   /* "": who asks */
	char text[WIRE_TEXT_MAX];        /* of a failure */
	const struct entrance *entrance; /* the listener; NULL: not said (leaves_ungathered) */
	struct subject subject;

	/* suppose's own */
	struct pending *pending;
	char group_names[WIRE_TEXT_MAX];
	uint32_t *groups;
	char *facts[ATTRIBUTE_COUNT];
};

/*
 * Reads the attributes, has names looked up, judges and answers. Owns supposed from now on, which
 * release() frees (after suppose_done()). Returns what the handler returns.
 */
enum mortise_status suppose_start(struct exchange *exchange, struct supposed *supposed) MUST_USE;

/* Frees what hangs on it. */
void suppose_done(struct supposed *supposed);

/* "backup (uid 34)", or "uid 34" */
void suppose_name(const struct supposed *supposed, char *out_text, size_t size);

#endif
