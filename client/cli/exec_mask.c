/* SPDX-License-Identifier: ISC */
#include "exec_mask.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "args.h"
#include "encodings.h"
#include "output.h"

#define NAME_SIZE  (MORTISE_PATH_MAX + 256)
#define NAMES_SIZE 1024
#define WORD_MAX   64
#define DIGITS_MAX 4

/* What the last word of a secret's name says of its value. */
static const char *const words[] = {"address", "bucket", "database", "dbname", "domain", "driver",
	"email", "env", "environment", "host", "hostname", "level", "locale", "login", "mode",
	"name", "owner", "port", "region", "role", "schema", "server", "timezone", "user",
	"username", "zone", NULL};

static bool is_lower(uint8_t byte)
{
	return byte >= 'a' && byte <= 'z';
}

static bool is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

/* "Shop", "db1", "2024": a part of a name. What was drawn by chance has digits anywhere. */
static bool is_part(const uint8_t *bytes, size_t size)
{
	size_t at = 0, letters;

	if (size > 0 && bytes[0] >= 'A' && bytes[0] <= 'Z')
		at++;
	while (at < size && is_lower(bytes[at]))
		at++;
	letters = at;
	while (at < size && is_digit(bytes[at]))
		at++;
	return size > 0 && at == size && at - letters <= DIGITS_MAX + (letters == 0);
}

static bool looks_like_word(const uint8_t *value, size_t size)
{
	size_t start = 0;

	if (size > WORD_MAX)
		return false;
	for (size_t at = 0; at <= size; at++) {
		if (at < size && (value[at] == 0 || strchr(".-_@", value[at]) == NULL))
			continue;
		if (!is_part(value + start, at - start))
			return false;
		start = at + 1;
	}
	return true;
}

static bool is_named_so(const char *name)
{
	const char *last = name;

	for (const char *at = name; *at != '\0'; at++)
		if (strchr("/-_.", *at) != NULL)
			last = at + 1;
	if (strncasecmp(last, "pg", 2) == 0 || strncasecmp(last, "db", 2) == 0)
		last += strcasecmp(last, "dbname") == 0 ? 0 : 2;
	for (const char *const *word = words; *word != NULL; word++)
		if (strcasecmp(*word, last) == 0)
			return true;
	return false;
}

bool exec_mask_is_word(const char *path, const char *field, const uint8_t *value, size_t size)
{
	return is_named_so(field != NULL ? field : path) && looks_like_word(value, size);
}

/* One that has the value of this item; NULL: none is named. */
static const struct exec_variable *variable_of(const struct exec_plan *plan, int item)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->variables[i].item == item)
			return &plan->variables[i];
	return NULL;
}

static bool is_in_list(const char *list, const char *name)
{
	size_t size = strlen(name);

	for (const char *at = list; at != NULL; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0'))
			return true;
	}
	return false;
}

/* Is a variable with this item's value named by that option? */
static bool is_given(
	const struct cli *cli, const struct exec_plan *plan, const char *option, int item)
{
	const char *list = args_value(cli, option);

	for (size_t i = 0; i < plan->count; i++)
		if (plan->variables[i].item == item && is_in_list(list, plan->variables[i].name))
			return true;
	return false;
}

/* A typing error would mask too much or too little. */
static int check_names(const struct cli *cli, const struct exec_plan *plan, const char *option)
{
	const char *list = args_value(cli, option);

	if (list != NULL && args_has(cli, "no-mask"))
		return output_fail(
			cli, MORTISE_INVALID, "--%s and --no-mask do not go together", option);
	for (const char *at = list; at != NULL && *at != '\0';) {
		size_t size = strcspn(at, ","), i = 0;

		while (i < plan->count && (strncmp(plan->variables[i].name, at, size) != 0 ||
						  plan->variables[i].name[size] != '\0' ||
						  plan->variables[i].item == EXEC_PLAN_LITERAL))
			i++;
		if (i == plan->count)
			return output_fail(cli, MORTISE_INVALID,
				"--%s: no secret is in a variable %.*s here", option, (int)size,
				at);
		at += size + (at[size] == ',');
	}
	return CLI_DONE;
}

/* What a value's mark says, and what is said of one that has none. */
static void name_value(const struct fetched *value, char name[NAME_SIZE])
{
	bool has_field = value->field != NULL;

	(void)snprintf(name, NAME_SIZE, "%s%s%s", value->path.text, has_field ? "#" : "",
		has_field ? value->field : "");
}

/* Names of values that everybody can see in the output. */
struct seen {
	char names[NAMES_SIZE];
	size_t size;
	const char *variable; /* of the first */
};

static void add_name(struct seen *seen, const struct exec_variable *variable, const char *name)
{
	if (seen->size == 0)
		seen->variable = variable != NULL ? variable->name : "N";
	if (seen->size < sizeof seen->names)
		seen->size += (size_t)snprintf(seen->names + seen->size,
			sizeof seen->names - seen->size, "%s%s", seen->size > 0 ? ", " : "", name);
}

static enum mortise_status fill(
	const struct cli *cli, const struct exec_plan *plan, struct mask *mask)
{
	struct seen brief = {.size = 0}, plain = {.size = 0};
	char name[NAME_SIZE];

	for (int i = 0; i < plan->fetch.count; i++) {
		const struct fetched *value = &plan->fetch.items[i];
		const struct exec_variable *variable = variable_of(plan, i);
		bool is_masked = false;

		name_value(value, name);
		if (is_given(cli, plan, "plain", i))
			continue;
		if (value->size < ENCODINGS_VALUE_MIN)
			add_name(&brief, variable, name);
		else if (!is_given(cli, plan, "mask", i) &&
			 exec_mask_is_word(
				 value->path.text, value->field, value->bytes, value->size))
			add_name(&plain, variable, name);
		else
			TRY(mask_add(mask, name, value->bytes, value->size, &is_masked));
	}
	if (brief.size > 0)
		output_note("not masked in the output, being under 8 bytes: %s", brief.names);
	if (plain.size > 0)
		output_note("not masked in the output, being names and no secrets: %s; --mask=%s "
			    "masks it, --plain=%s leaves this out",
			plain.names, plain.variable, plain.variable);
	return mask_prepare(mask);
}

int exec_mask_make(struct cli *cli, const struct exec_plan *plan, struct mask **out_mask)
{
	struct mask *mask = NULL;
	int ending = check_names(cli, plan, "mask");

	if (ending == CLI_DONE)
		ending = check_names(cli, plan, "plain");
	if (ending != CLI_DONE || args_has(cli, "no-mask"))
		return ending;
	if (mask_new(&mask) != MORTISE_OK || fill(cli, plan, mask) != MORTISE_OK) {
		mask_free(&mask);
		return output_fail(cli, MORTISE_IO, "out of memory");
	}
	*out_mask = mask;
	return CLI_DONE;
}
