/* SPDX-License-Identifier: ISC */
#include "anchor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "advice.h"
#include "clock.h"
#include "log.h"
#include "records.h"
#include "slots.h"
#include "wire.h"

#define RECORD_ANCHOR 5 /* of docs/store.md */

struct anchor {
	struct sealer_link *sealer;
	int window_s;

	struct vault *vault;  /* NULL: none attached, or none with an anchor */
	struct secret *state; /* while a vault is being checked, or attached */
	uint64_t counter;
	bool is_asking;          /* an increment is on its way */
	bool is_unsure;          /* one failed, and may have been counted */
	struct vault_age unsure; /* what that one covers, if so */
	struct vault_age due;    /* what the last increment, done or asked for, covers */
	int64_t due_ms;          /* when the oldest of those commits came */
	int64_t open_ms;         /* when the oldest commit came that none covers; 0: none */
	int64_t retry_ms;        /* not before */
	uint64_t increments;
	uint64_t budget;
	int64_t refilled_ms;
	char complaint[ANCHOR_COMPLAINT];

	struct vault *checking; /* a vault whose counter is being read */
	anchor_checked *done;
	void *context;
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_steady_us() / 1000);
}

enum mortise_status anchor_new(struct sealer_link *sealer, int window_s, struct anchor **out_anchor)
{
	struct anchor *anchor = calloc(1, sizeof *anchor);

	if (!anchor)
		return MORTISE_BUSY;
	anchor->sealer = sealer;
	anchor->window_s = window_s;
	anchor->budget = ANCHOR_BUDGET;
	anchor->refilled_ms = now_ms();
	*out_anchor = anchor;
	return MORTISE_OK;
}

void anchor_free(struct anchor *anchor)
{
	if (!anchor)
		return;
	secret_drop(&anchor->state);
	free(anchor);
}

enum mortise_status anchor_write_state(const char *kind, const struct secret *auth,
	struct store_bytes place, struct secret **out_state)
{
	CLEANUP(secret_drop) struct secret *state = NULL;
	struct wire_writer writer;

	TRY(secret_new(ANCHOR_STATE_SIZE, &state));
	wire_begin(&writer, state->bytes, state->size, RECORD_ANCHOR, 0);
	wire_put_text(&writer, RECORD_TAG_SLOT_KIND, kind);
	wire_put(&writer, RECORD_TAG_KEY, auth->bytes, auth->size);
	wire_put(&writer, RECORD_TAG_BLOB, place.bytes, place.size);
	size_t size = wire_finish(&writer);
	return size ? secret_copy(state->bytes, size, out_state) : MORTISE_INVALID;
}

/* The state's parts; place points into it. */
static enum mortise_status read_state(const struct secret *state, char kind[SLOT_KIND_SIZE],
	struct secret **out_auth, struct token_bytes *out_place)
{
	struct wire_message fields;

	if (wire_parse(state->bytes, state->size, &fields) != MORTISE_OK ||
		fields.code != RECORD_ANCHOR ||
		wire_text(&fields, RECORD_TAG_SLOT_KIND, kind, SLOT_KIND_SIZE) != MORTISE_OK ||
		wire_field_of(&fields, RECORD_TAG_KEY)->size != KEY_SIZE ||
		wire_field_of(&fields, RECORD_TAG_BLOB)->size > TOKEN_BLOB_MAX)
		return MORTISE_INTEGRITY;
	TRY(secret_copy(wire_field_of(&fields, RECORD_TAG_KEY)->bytes, KEY_SIZE, out_auth));
	*out_place = (struct token_bytes){wire_field_of(&fields, RECORD_TAG_BLOB)->bytes,
		wire_field_of(&fields, RECORD_TAG_BLOB)->size};
	return MORTISE_OK;
}

static enum mortise_status ask(struct anchor *anchor, enum token_anchor_action action,
	uint64_t expected, sealer_done *done)
{
	CLEANUP(secret_drop) struct secret *auth = NULL;
	struct token_anchor question = {.action = action, .expected = expected};
	char kind[SLOT_KIND_SIZE];

	TRY(read_state(anchor->state, kind, &auth, &question.place));
	question.auth = auth;
	return sealer_anchor(anchor->sealer, kind, &question, done, anchor);
}

/* ---- at unseal ---- */

static void finish_check(
	struct anchor *anchor, enum mortise_status status, enum token_fault fault, const char *text)
{
	struct vault *vault = anchor->checking;
	anchor_checked *done = anchor->done;

	anchor->checking = NULL;
	anchor->done = NULL;
	if (status == MORTISE_OK)
		status = anchor_attach(anchor, vault);
	else
		secret_drop(&anchor->state);
	if (status != MORTISE_OK && !text[0])
		text = status == MORTISE_BUSY
			       ? "there is too little memory to read the store's "
				 "anchor; it is tried again"
			       : "the store's anchor cannot be read; it is tried again";
	done(anchor->context, status, fault, text);
}

static void finish_unread(struct anchor *anchor, const struct sealer_answer *answer)
{
	struct advice_about about = {.operation = ADVICE_AGE};
	char text[600] = "the store's age cannot be checked: ";
	size_t used = strlen(text);

	advice_describe(&about, answer, text + used, sizeof text - used);
	finish_check(anchor, answer->status, answer->fault, text);
}

static void on_repaired(void *context, struct sealer_answer *answer)
{
	struct anchor *anchor = context;

	if (!anchor->checking)
		return;
	if (answer->status != MORTISE_OK) {
		finish_unread(anchor, answer);
		return;
	}
	anchor->increments++;
	log_info("the anchor was one behind, as after a crash, a power cut or a stop soon after a "
		 "write; it is level again");
	finish_check(anchor, MORTISE_OK, TOKEN_FAULT_NONE, "");
}

static void finish_other(struct anchor *anchor, uint64_t generation, uint64_t counter)
{
	char text[512];

	snprintf(text, sizeof text,
		generation < counter
			? "this is an old copy of the store: its generation is %llu, and the TPM's "
			  "counter says %llu; put the newest one back, or if there is none, run: "
			  "mortise recover"
			: "the store's generation is %llu, but the TPM's counter says %llu: "
			  "another TPM, or its counter was made anew; find out who did, then run: "
			  "mortise recover",
		(unsigned long long)generation, (unsigned long long)counter);
	finish_check(anchor, MORTISE_CONFLICT, TOKEN_FAULT_NONE, text);
}

static void on_read(void *context, struct sealer_answer *answer)
{
	struct anchor *anchor = context;

	if (!anchor->checking)
		return;
	uint64_t generation = vault_age(anchor->checking).generation;
	if (answer->status != MORTISE_OK) {
		finish_unread(anchor, answer);
		return;
	}
	if (answer->counter == generation) {
		finish_check(anchor, MORTISE_OK, TOKEN_FAULT_NONE, "");
		return;
	}
	if (answer->counter + 1 != generation) {
		finish_other(anchor, generation, answer->counter);
		return;
	}
	enum mortise_status status =
		ask(anchor, TOKEN_ANCHOR_INCREMENT, answer->counter, on_repaired);
	if (status != MORTISE_OK)
		finish_check(anchor, status, TOKEN_FAULT_NONE,
			"the anchor is one behind and the sealer cannot be asked; try again");
}

enum mortise_status anchor_check(
	struct anchor *anchor, struct vault *vault, anchor_checked *done, void *context)
{
	CLEANUP(secret_drop) struct secret *state = NULL;

	if (anchor->checking || anchor->vault)
		return MORTISE_BUSY;
	TRY(vault_anchor(vault, &state));
	secret_drop(&anchor->state);
	anchor->state = secret_take(&state);
	TRY(ask(anchor, TOKEN_ANCHOR_READ, 0, on_read));
	anchor->checking = vault;
	anchor->done = done;
	anchor->context = context;
	return MORTISE_OK;
}

void anchor_cancel(struct anchor *anchor)
{
	anchor->checking = NULL;
	anchor->done = NULL;
	secret_drop(&anchor->state);
}

/* ---- while unsealed ---- */

enum mortise_status anchor_attach(struct anchor *anchor, struct vault *vault)
{
	CLEANUP(secret_drop) struct secret *state = NULL;

	TRY(vault_anchor(vault, &state));
	secret_drop(&anchor->state);
	anchor->state = secret_take(&state);
	anchor->vault = vault;
	anchor->due = vault_age(vault);
	anchor->counter = anchor->due.generation;
	anchor->is_unsure = false;
	anchor->open_ms = 0;
	anchor->retry_ms = 0;
	anchor->complaint[0] = '\0';
	vault_set_target_generation(vault, anchor->counter + 1);
	return MORTISE_OK;
}

void anchor_detach(struct anchor *anchor)
{
	anchor->vault = NULL;
	anchor->open_ms = 0;
	anchor->complaint[0] = '\0';
	if (!anchor->checking)
		secret_drop(&anchor->state);
}

static void refill(struct anchor *anchor, int64_t now)
{
	uint64_t more = (uint64_t)(now - anchor->refilled_ms) / (ANCHOR_REFILL_S * 1000);

	anchor->refilled_ms += (int64_t)(more * ANCHOR_REFILL_S * 1000);
	anchor->budget += more;
	if (anchor->budget > ANCHOR_BUDGET)
		anchor->budget = ANCHOR_BUDGET;
}

/*
 * Commits that came while the TPM counted carry a generation that it has reached by now, as an
 * older copy does: one more raises them above it, and the next window covers them.
 */
static void cover_late_commits(struct anchor *anchor)
{
	vault_set_target_generation(anchor->vault, anchor->counter + 1);
	if (vault_age(anchor->vault).commits == anchor->due.commits)
		return;
	if (vault_raise_generation(anchor->vault) != MORTISE_OK)
		log_warning("the store's generation could not be raised; it will be by its next "
			    "write");
}

static void count(struct anchor *anchor)
{
	anchor->counter++;
	anchor->increments++;
	anchor->is_unsure = false;
	anchor->complaint[0] = '\0';
	cover_late_commits(anchor);
}

static int64_t retry_s(const struct anchor *anchor)
{
	return anchor->window_s < ANCHOR_RETRY_S ? anchor->window_s : ANCHOR_RETRY_S;
}

/*
 * The first of a row of failures is logged. Where the counter stands elsewhere it was not we who
 * counted, and that is sure.
 */
static void complain(struct anchor *anchor, const struct sealer_answer *answer)
{
	bool is_other =
		answer->status == MORTISE_HARDWARE && answer->fault == TOKEN_FAULT_OTHER_COUNT;
	struct advice_about about = {.operation = ADVICE_COUNT};

	if (!anchor->complaint[0])
		log_warning("the anchor could not be counted up, an old copy of the store would "
			    "not be noticed: %s",
			token_fault_text(answer->fault));
	advice_describe(&about, answer, anchor->complaint, sizeof anchor->complaint);
	if (!anchor->is_unsure && !is_other)
		anchor->unsure = anchor->due;
	anchor->is_unsure |= !is_other;
	anchor->due = (struct vault_age){0};
	anchor->open_ms = anchor->due_ms;
	anchor->retry_ms = now_ms() + retry_s(anchor) * 1000;
}

/* What was read is neither what it was nor what a lost count made of it. */
static void call_other(const struct anchor *anchor, struct sealer_answer *answer)
{
	answer->status = MORTISE_HARDWARE;
	answer->fault = TOKEN_FAULT_OTHER_COUNT;
	snprintf(answer->detail, sizeof answer->detail, "the counter stands at %llu, not at %llu",
		(unsigned long long)answer->counter, (unsigned long long)anchor->counter);
}

static void on_incremented(void *context, struct sealer_answer *answer)
{
	struct anchor *anchor = context;

	anchor->is_asking = false;
	if (!anchor->vault)
		return;
	if (answer->status == MORTISE_OK && answer->counter == anchor->counter + 1) {
		count(anchor);
		return;
	}
	if (answer->status == MORTISE_OK)
		call_other(anchor, answer);
	complain(anchor, answer);
}

/* The TPM may have counted before its answer was lost. */
static void on_reread(void *context, struct sealer_answer *answer)
{
	struct anchor *anchor = context;

	if (anchor->vault && answer->status == MORTISE_OK && answer->counter == anchor->counter &&
		ask(anchor, TOKEN_ANCHOR_INCREMENT, anchor->counter, on_incremented) == MORTISE_OK)
		return;
	/* It counted then, and what has been written since has a generation that it had reached. */
	anchor->due = anchor->unsure;
	on_incremented(anchor, answer);
}

static bool is_window_over(const struct anchor *anchor, const struct vault_age *age, int64_t now)
{
	int64_t window_s = anchor->budget ? anchor->window_s : ANCHOR_LONG_S;

	if (now < anchor->retry_ms)
		return false;
	return age->weighty != anchor->due.weighty || now - anchor->open_ms >= window_s * 1000;
}

/*
 * A counter ahead of the store would make it an old copy of itself. It could not be raised when the
 * TPM had counted: a disk may be full.
 */
static bool is_above_counter(struct anchor *anchor, struct vault_age *age, int64_t now)
{
	if (age->generation <= anchor->counter &&
		vault_raise_generation(anchor->vault) != MORTISE_OK)
		anchor->retry_ms = now + retry_s(anchor) * 1000;
	*age = vault_age(anchor->vault);
	return age->generation > anchor->counter;
}

void anchor_upkeep(struct anchor *anchor)
{
	int64_t now = now_ms();

	if (!anchor->vault)
		return;
	struct vault_age age = vault_age(anchor->vault);
	refill(anchor, now);
	if (!anchor->open_ms && age.commits != anchor->due.commits)
		anchor->open_ms = now;
	if (!anchor->open_ms || anchor->is_asking || !is_window_over(anchor, &age, now) ||
		!is_above_counter(anchor, &age, now))
		return;
	enum mortise_status status =
		anchor->is_unsure
			? ask(anchor, TOKEN_ANCHOR_READ, 0, on_reread)
			: ask(anchor, TOKEN_ANCHOR_INCREMENT, anchor->counter, on_incremented);
	if (status != MORTISE_OK)
		return;
	anchor->is_asking = true;
	anchor->due = age;
	anchor->due_ms = anchor->open_ms;
	anchor->open_ms = 0;
	anchor->budget -= anchor->budget > 0;
}

struct anchor_report anchor_report(const struct anchor *anchor)
{
	uint64_t lag_ms = anchor->open_ms ? (uint64_t)(now_ms() - anchor->open_ms) : 0;

	return (struct anchor_report){anchor->vault != NULL, anchor->counter,
		anchor->vault ? vault_age(anchor->vault).generation : 0, (lag_ms + 999) / 1000,
		anchor->increments, anchor->budget, anchor->complaint};
}
