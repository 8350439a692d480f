/* SPDX-License-Identifier: ISC */
#include "doctor_say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "output.h"

static const char *const severities[] = {
	[DOCTOR_OK] = "ok",
	[DOCTOR_NOTE] = "note",
	[DOCTOR_WARNING] = "warning",
	[DOCTOR_WRONG] = "wrong",
};

const char *doctor_severity(enum severity severity)
{
	return severities[severity];
}

void doctor_say(
	struct doctor *doctor, enum severity severity, const char *remedy, const char *format, ...)
{
	char text[WIRE_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	json_t *finding = json_pack("{s:s, s:s, s:o, s:o?}", "check", doctor->check, "severity",
		severities[severity], "text", output_json_said(text), "remedy",
		remedy ? output_json_said(remedy) : NULL);
	if (!finding || json_array_append_new(doctor->findings, finding) != 0)
		doctor->is_incomplete = true;
}

void doctor_repeat(
	struct doctor *doctor, enum severity severity, const char *before, const char *said)
{
	const char *end = strstr(said, "; "), *remedy = end ? end + 2 : NULL;

	if (remedy && strncmp(remedy, "run: ", 5) == 0)
		remedy += 5;
	doctor_say(doctor, severity, remedy, "%s%.*s", before,
		end ? (int)(end - said) : (int)strlen(said), said);
}

const char *doctor_text(const json_t *facts, const char *name)
{
	return json_string_value(json_object_get(facts, name));
}

bool doctor_number(const json_t *facts, const char *name, uint64_t *out_number)
{
	const json_t *fact = json_object_get(facts, name);

	if (!json_is_integer(fact))
		return false;
	*out_number = (uint64_t)json_integer_value(fact);
	return true;
}
