/* SPDX-License-Identifier: ISC */
/* Where the lifecycle stands, in words, and who is told; below all that changes it. */
#include <stdarg.h>
#include <stdio.h>

#include "lifecycle_parts.h"

#define RETRY_FIRST_MS 200u
#define RETRY_MAX_MS   30000u

void lifecycle_set_state(struct lifecycle *lifecycle, enum lifecycle_state state)
{
	lifecycle->state = state;
	lifecycle->since_us = clock_now().least_us;
	if (state == LIFECYCLE_UNSEALED) {
		lifecycle->reason[0] = '\0';
		lifecycle->pin_slot = 0;
	}
	lifecycle->parts.hooks.changed(lifecycle->parts.hooks.context);
}

void lifecycle_explain(struct lifecycle *lifecycle, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(lifecycle->reason, sizeof lifecycle->reason, format, arguments);
	va_end(arguments);
	lifecycle->parts.hooks.changed(lifecycle->parts.hooks.context);
}

void lifecycle_finish(struct lifecycle *lifecycle, enum mortise_status status, const char *text,
	const struct secret *recovery)
{
	lifecycle_done *done = lifecycle->done;

	lifecycle->done = NULL;
	if (done)
		done(lifecycle->context, status, text, recovery);
}

void lifecycle_explain_lack(struct lifecycle *lifecycle, enum mortise_status status)
{
	char text[400];

	store_describe_lack(lifecycle->store, status, text, sizeof text);
	lifecycle_explain(lifecycle, "%s", text);
}

void lifecycle_try_later(struct lifecycle *lifecycle)
{
	unsigned shift = lifecycle->attempts < 8 ? lifecycle->attempts : 8;
	unsigned delay_ms = RETRY_FIRST_MS << shift;
	struct timeval delay = {0};

	if (delay_ms > RETRY_MAX_MS)
		delay_ms = RETRY_MAX_MS;
	lifecycle->attempts++;
	delay.tv_sec = delay_ms / 1000;
	delay.tv_usec = delay_ms % 1000 * 1000;
	event_add(lifecycle->retry, &delay);
}

bool lifecycle_is_unsure(const struct lifecycle *lifecycle)
{
	return lifecycle->vault && (lifecycle->is_unsure || vault_is_stale(lifecycle->vault));
}

/* A slot is new or gone: when the next stand-in ends is another time. */
void lifecycle_look_at_ends(struct lifecycle *lifecycle)
{
	const struct timeval at_once = {0, 0};

	event_add(lifecycle->ends, &at_once);
}
