/* SPDX-License-Identifier: ISC */
#include "tpm2_run.h"

#include <stdlib.h>
#include <time.h>

#define PAUSE_FIRST_MS 10
#define PAUSE_MAX_MS   500

struct state {
	struct tpm2 tpm;
	bool is_connected;
	int64_t deadline_ms;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_for(int pause_ms)
{
	struct timespec pause = {.tv_nsec = (long)pause_ms * 1000000};

	nanosleep(&pause, NULL);
}

static enum mortise_status need_state(struct token_run *run)
{
	struct state *state = run->state;

	if (state != NULL)
		return MORTISE_OK;
	state = calloc(1, sizeof *state);
	if (state == NULL)
		return MORTISE_BUSY;
	state->deadline_ms = now_ms() + run->options.deadline_ms;
	run->state = state;
	return MORTISE_OK;
}

static void drop_connection(struct state *state)
{
	if (state->is_connected)
		tpm2_disconnect(&state->tpm);
	state->is_connected = false;
}

static enum mortise_status attempt_once(struct token_run *run, tpm2_attempt *attempt, void *context,
	struct token_failure *failure, bool *out_is_final)
{
	struct state *state = run->state;
	enum mortise_status status = MORTISE_OK;

	if (!state->is_connected) {
		state->is_connected = true;
		status = tpm2_connect(&run->options, failure, &state->tpm);
	}
	state->tpm.failure = failure;
	if (status == MORTISE_OK)
		status = attempt(&state->tpm, context);
	*out_is_final = state->tpm.is_final;
	state->tpm.failure = NULL;
	return status;
}

/* Room and time come back by themselves; an absent device or a lockout do not so soon. */
static bool is_worth_a_pause(enum token_fault fault)
{
	return fault == TOKEN_FAULT_BUSY || fault == TOKEN_FAULT_FULL;
}

/*
 * Begins anew each time, connection and sessions included: after a retry code one does not
 * know what the TPM still holds. ESYS has itself sent the command five times by then.
 */
enum mortise_status tpm2_run_do(struct token_run *run, tpm2_attempt *attempt, void *context,
	struct token_failure *out_failure)
{
	int pause_ms = PAUSE_FIRST_MS;
	struct state *state;

	TRY(need_state(run));
	state = run->state;
	for (;;) {
		struct token_failure failure = {0};
		bool is_final = false;
		enum mortise_status status =
			attempt_once(run, attempt, context, &failure, &is_final);

		if (status == MORTISE_OK)
			return MORTISE_OK;
		drop_connection(state);
		if (is_final || !is_worth_a_pause(failure.fault) ||
			now_ms() + pause_ms >= state->deadline_ms) {
			*out_failure = failure;
			return status;
		}
		pause_for(pause_ms);
		pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
	}
}

void tpm2_run_end(struct token_run *run)
{
	if (run->state != NULL)
		drop_connection(run->state);
	free(run->state);
	run->state = NULL;
}
