/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "exchange.h"
#include "request_typed.h"

static void put_recovered(struct wire_writer *reply, const void *context)
{
	wire_put_text(reply, WIRE_TAG_TEXT, context);
	wire_put_number(reply, WIRE_TAG_CHANGED, 1);
}

static void on_recovered(
	void *context, enum mortise_status status, const char *text, const struct secret *recovery)
{
	(void)recovery;
	pending_finish(context, status, text, put_recovered, text);
}

static enum mortise_status explain(struct exchange *exchange, enum mortise_status status)
{
	struct lifecycle *lifecycle = exchange->agent->lifecycle;

	switch (status) {
	case MORTISE_DENIED:
		return exchange_fail(exchange, status,
			"not the recovery key of that store; type the one with its key id (mortise "
			"status)");
	case MORTISE_NOT_FOUND:
		return exchange_fail(exchange, status,
			"no backup was sent over this connection, or the store has no slot for a "
			"key that is typed");
	case MORTISE_CONFLICT:
		return exchange_fail(exchange, status,
			lifecycle_state(lifecycle) == LIFECYCLE_UNSEALED
				? "it is unsealed; to go back to a backup run first: mortise seal; "
				  "its slots are changed by: mortise slot add"
				: "there is no store here; use --backup=F, or run: mortise init");
	case MORTISE_BUSY:
		return exchange_fail(exchange, status,
			lifecycle_is_busy(lifecycle)
				? "the hardware is being asked just now; try again"
				: "there is too little memory for it; free some, then try again");
	case MORTISE_INTEGRITY:
	case MORTISE_REJECTED:
		return exchange_fail(exchange, MORTISE_INTEGRITY,
			"the store is not what mortise wrote: damaged, cut short or edited; "
			"recover it from a backup: mortise recover --backup=F");
	default:
		return status;
	}
}

static enum mortise_status begin(
	struct exchange *exchange, struct recovery_wish *wish, struct asked_seal *asked)
{
	struct pending *pending = NULL;

	wish->kind = strcmp(asked->kind, "none") == 0 ? NULL : asked->kind;
	wish->seal = &asked->wish;
	wish->has_anchor = asked->has_anchor;
	if (!wish->is_dry_run)
		TRY(pending_new(exchange, NULL, NULL, &pending));
	enum mortise_status status =
		lifecycle_recover(exchange->agent->lifecycle, wish, on_recovered, pending);
	if (status == MORTISE_OK) {
		if (wish->is_dry_run)
			wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 1);
		return MORTISE_OK;
	}
	if (pending)
		pending_abandon(exchange, pending);
	return explain(exchange, status);
}

enum mortise_status request_recover(struct exchange *exchange)
{
	CLEANUP(asked_seal_done) struct asked_seal asked = {.pin = NULL};
	CLEANUP(secret_drop) struct secret *key = NULL;
	struct recovery_wish wish = {.owner = NULL};
	unsigned missing = 0;
	bool is_backup = false;

	TRY(exchange_flag(exchange, WIRE_TAG_NUMBER, &is_backup));
	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &wish.is_dry_run));
	TRY(exchange_seal(exchange, &asked));
	TRY(exchange_typed(exchange, &key, &missing));
	if (missing) {
		exchange->is_silent = true; /* nothing has been tried yet */
		wire_put_number(exchange->reply, WIRE_TAG_CHANGED, 0);
		wire_put_number(exchange->reply, WIRE_TAG_NUMBER, missing);
		return MORTISE_OK;
	}
	wish.key = key;
	wish.owner = is_backup ? exchange->from : NULL;
	return begin(exchange, &wish, &asked);
}
