/* SPDX-License-Identifier: ISC */
/* The clock's floor between restarts, and an admin's word for the time. */
#include <string.h>

#include "exchange.h"
#include "log.h"

#define KEEP_US UINT64_C(3600000000) /* a floor is kept again when it is newer by so much */

void request_clock_found(struct vault *vault)
{
	struct clock_floor floor;

	/* What this process knows may be newer, or an admin's word. */
	if (vault_floor(vault, &floor) == MORTISE_OK && clock_report().floor_us == 0)
		clock_set_floor(&floor);
}

static enum mortise_status keep(struct agent *agent, uint64_t newer_us)
{
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct clock_floor floor;

	if (!vault || !clock_take_floor(newer_us, &floor))
		return MORTISE_OK;
	return vault_set_floor(vault, &floor);
}

void request_clock_keep(struct agent *agent)
{
	if (keep(agent, 1) != MORTISE_OK)
		log_warning("the newest time that was confirmed could not be stored");
}

static void tell(const struct clock_report *clock)
{
	if (clock->verdict == CLOCK_BELIEVED)
		log_info("the clock is believed again");
	else
		log_warning("the clock is not believed: it is %s; rules with hours or an expiry "
			    "deny, and nothing is purged, until it is synchronised or right; "
			    "or run: mortise clock accept",
			clock_verdict_text(clock->verdict));
}

void request_clock_upkeep(struct agent *agent)
{
	const struct clock_report clock = clock_report();

	if (clock.verdict != agent->told_clock)
		tell(&clock);
	agent->told_clock = clock.verdict;
	if (keep(agent, KEEP_US) != MORTISE_OK)
		log_warning("the newest time that was confirmed could not be stored");
}

enum mortise_status request_clock_accept(struct exchange *exchange)
{
	struct agent *agent = exchange->agent;
	bool is_dry_run = false;

	TRY(exchange_flag(exchange, WIRE_TAG_DRY_RUN, &is_dry_run));
	TRY(exchange_reason(exchange));
	if (clock_report().verdict == CLOCK_EARLY)
		return exchange_fail(exchange, MORTISE_CONFLICT,
			"the clock is before mortise was written; set it first");
	bool changes = clock_report().verdict != CLOCK_BELIEVED;
	if (changes && !is_dry_run) {
		(void)clock_accept();
		TRY(keep(agent, 0));
	}
	wire_put_number(exchange->reply, WIRE_TAG_CHANGED, changes);
	return MORTISE_OK;
}
