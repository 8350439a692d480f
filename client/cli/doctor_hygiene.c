/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "ask.h"
#include "doctor.h"
#include "hygiene.h"

#define NAMED_MAX 6 /* secrets in a line; `mortise hygiene` names all */

static const enum severity severities[HYGIENE_KINDS] = {
	[HYGIENE_ENVIRONMENTS] = DOCTOR_WARNING,
	[HYGIENE_REUSED] = DOCTOR_WARNING,
	[HYGIENE_OVERDUE] = DOCTOR_WARNING,
	[HYGIENE_OLD] = DOCTOR_NOTE,
	[HYGIENE_NEVER_READ] = DOCTOR_NOTE,
};

static const char *const remedies[HYGIENE_KINDS] = {
	[HYGIENE_ENVIRONMENTS] = "mortise hygiene names all; give each a value of its own",
	[HYGIENE_REUSED] = "mortise hygiene names all; give each a value of its own",
	[HYGIENE_OVERDUE] = "mortise rotate --due, or mortise set",
	[HYGIENE_OLD] =
		"mortise hygiene --older-than=TIME names all; mortise rotate, or mortise set",
	[HYGIENE_NEVER_READ] = "mortise hygiene names all; mortise delete what nobody needs",
};

/* "prod/a = staging/a, prod/b = staging/b, and 3 more" */
static void name_some(const struct hygiene_finding *findings, size_t count, char *text, size_t size)
{
	size_t named = count < NAMED_MAX ? count : NAMED_MAX, used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < named && used < size; i++) {
		bool is_beside = i > 0 && findings[i].group != 0 &&
				 findings[i].group == findings[i - 1].group;

		used += (size_t)snprintf(text + used, size - used, "%s%s",
			i == 0      ? ""
			: is_beside ? " = "
				    : ", ",
			findings[i].path);
	}
	if (named < count && used < size)
		(void)snprintf(text + used, size - used, ", and %zu more", count - named);
}

/* Those of one kind stand side by side. */
static void tell_kind(struct doctor *doctor, const struct hygiene_finding *findings, size_t count)
{
	enum hygiene_kind kind = findings->kind;
	char names[WIRE_TEXT_MAX];

	name_some(findings, count, names, sizeof names);
	doctor_say(doctor, severities[kind], remedies[kind], "%s: %zu secret%s: %s",
		hygiene_text(kind), count, count == 1 ? "" : "s", names);
}

static void tell(struct doctor *doctor, const struct hygiene *hygiene)
{
	size_t end;

	for (size_t at = 0; at < hygiene->count; at = end) {
		for (end = at + 1; end < hygiene->count &&
				   hygiene->findings[end].kind == hygiene->findings[at].kind;)
			end++;
		tell_kind(doctor, &hygiene->findings[at], end - at);
	}
	if (hygiene->count == 0)
		doctor_say(doctor, DOCTOR_OK, NULL, "no value is used twice or overdue%s",
			hygiene->has_log ? ", and each was read" : "");
	if (!hygiene->has_log && !args_has(doctor->cli, "quick"))
		doctor_say(doctor, DOCTOR_NOTE, NULL,
			"what was never read is not known: that takes the verb audit");
}

void doctor_hygiene(struct doctor *doctor)
{
	struct hygiene hygiene = {.leaves_out_log = args_has(doctor->cli, "quick")};
	enum mortise_status status = hygiene_collect(doctor->cli, doctor->older_than_us, &hygiene);

	if (status == MORTISE_OK)
		tell(doctor, &hygiene);
	else
		doctor_repeat(doctor, status == MORTISE_INTEGRITY ? DOCTOR_WRONG : DOCTOR_WARNING,
			"secrets could not be examined: ", mortise_message(doctor->cli->agent));
	hygiene_done(&hygiene);
}
