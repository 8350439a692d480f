/* SPDX-License-Identifier: ISC */
/* `policy check`: may someone, and why. What the agent itself would ask: listener, then policy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_answers.h"
#include "request_policy_suppose.h"

#define TIME_MAX_US UINT64_C(253402300800000000) /* the end of the year 9999 */

struct checking {
	struct supposed supposed; /* first: it is this by another name */
	enum verb verb;
	char path[MORTISE_PATH_MAX + 1];
	uint64_t at_us; /* 0: now */

	bool is_allowed, is_kept_out; /* by the listener */
	struct policy_explanation explanation;
};

static void checking_free(void *context)
{
	suppose_done(context);
	free(context);
}

static void put_reason(const struct checking *checking, char *text, size_t size)
{
	const struct decision *decision = &checking->explanation.decision;
	const struct rate_limit *rate = &decision->rate;
	char unknown[80];

	policy_explain_unknown(&checking->explanation, unknown, sizeof unknown);
	if (checking->is_kept_out)
		(void)snprintf(text, size, "the listener %s does not take the verb %s",
			checking->supposed.entrance->name, verb_name(checking->verb));
	else if (!decision->rule)
		(void)snprintf(text, size, "%s",
			checking->explanation.is_nobody ? policy_nobody : "no rule allows it");
	else if (decision->allowed && rate->count)
		(void)snprintf(text, size, "rule %s, at most %u/%s", decision->rule, rate->count,
			rate->period_s == 60     ? "min"
			: rate->period_s == 3600 ? "h"
						 : "d");
	else
		(void)snprintf(text, size, "rule %s%s%s", decision->rule,
			decision->allowed ? "" : " denies it", unknown);
}

static void put_near(struct wire_writer *reply, const struct policy_explanation *explanation)
{
	size_t list = wire_list_begin(reply, WIRE_TAG_ITEMS);

	for (size_t i = 0; i < explanation->near_count; i++) {
		size_t item = wire_item_begin(reply);
		wire_put_text(reply, WIRE_TAG_TEXT, explanation->near[i].why);
		wire_put_text(reply, WIRE_TAG_RULE, explanation->near[i].rule);
		wire_item_end(reply, item);
	}
	wire_list_end(reply, list);
}

static void put_verdict(struct wire_writer *reply, const void *context)
{
	const struct checking *checking = context;
	const struct policy_explanation *explanation = &checking->explanation;
	char who[96], reason[256], text[WIRE_TEXT_MAX];

	suppose_name(&checking->supposed, who, sizeof who);
	put_reason(checking, reason, sizeof reason);
	(void)snprintf(text, sizeof text, "%s %s %s%s%s: %s", who,
		checking->is_allowed ? "may" : "may not", verb_name(checking->verb),
		checking->path[0] ? " " : "", checking->path, reason);
	wire_put_text(reply, WIRE_TAG_TEXT, text);
	if (!checking->is_kept_out && explanation->near_count)
		put_near(reply, explanation);
	wire_put_number(reply, WIRE_TAG_NUMBER, checking->is_allowed);
	if (!checking->is_kept_out && explanation->decision.rule)
		wire_put_text(reply, WIRE_TAG_RULE, explanation->decision.rule);
}

/* The rules' texts are the policy's, which stays until this is put. */
static enum mortise_status judge(struct supposed *supposed)
{
	struct checking *checking = (struct checking *)(void *)supposed;
	time_t at =
		checking->at_us ? (time_t)(checking->at_us / 1000000) : policy_time(&supposed->now);

	policy_explain(supposed->agent->policy, &supposed->subject, checking->verb,
		checking->path[0] ? checking->path : NULL, at, &checking->explanation);
	checking->is_kept_out = !(supposed->entrance->verbs & checking->verb);
	checking->is_allowed = !checking->is_kept_out && checking->explanation.decision.allowed;
	return MORTISE_OK;
}

static enum mortise_status read_checking(struct exchange *exchange, struct checking *checking)
{
	const struct wire_message *request = exchange->request;
	char verb[16];

	if (wire_text(request, WIRE_TAG_VERB, verb, sizeof verb) != MORTISE_OK ||
		!(checking->verb = verb_of_name(verb)))
		return exchange_fail(exchange, MORTISE_INVALID,
			"a verb is read, list, write, delete, rotate, audit or admin");
	if (wire_has(request, WIRE_TAG_TIME) &&
		(wire_number(request, WIRE_TAG_TIME, &checking->at_us) != MORTISE_OK ||
			checking->at_us == 0 || checking->at_us >= TIME_MAX_US))
		return exchange_fail(
			exchange, MORTISE_INVALID, "not a time between 1970 and the year 9999");
	memcpy(checking->path, exchange->path, sizeof checking->path);
	return MORTISE_OK;
}

enum mortise_status request_policy_check(struct exchange *exchange)
{
	struct checking *checking = calloc(1, sizeof *checking);

	if (!checking)
		return MORTISE_BUSY;
	checking->supposed.judge = judge;
	checking->supposed.put = put_verdict;
	checking->supposed.release = checking_free;
	enum mortise_status status = read_checking(exchange, checking);
	if (status == MORTISE_OK)
		return suppose_start(exchange, &checking->supposed);
	checking_free(checking);
	return status;
}
