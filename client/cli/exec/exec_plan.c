/* SPDX-License-Identifier: ISC */
#include "exec_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "args.h"
#include "array.h"
#include "encodings.h"
#include "envfile.h"
#include "list.h"
#include "output.h"

static int fail_memory(const struct cli *cli)
{
	return output_fail(cli, MORTISE_IO, "out of memory");
}

static bool is_typed(const struct exec_variable *variable)
{
	return strncmp(variable->from->name, "env-", 4) != 0;
}

/* Two names that one types are a slip; those that come from elsewhere, a wrong configuration. */
static int refuse_double(const struct cli *cli, const struct exec_variable *first,
	const struct exec_variable *second)
{
	enum mortise_status status =
		is_typed(first) && is_typed(second) ? MORTISE_INVALID : MORTISE_REJECTED;

	return output_fail(cli, status,
		"%s comes twice, from --%s and from --%s; a variable can be given once",
		second->name, first->from->name, second->from->name);
}

/* Takes the name, whatever comes of it. */
static int add_variable(struct cli *cli, struct exec_plan *plan, struct exec_variable variable)
{
	struct exec_variable *variables = NULL;
	int status = CLI_DONE;

	for (size_t i = 0; variable.name && i < plan->count && status == CLI_DONE; i++)
		if (strcmp(plan->variables[i].name, variable.name) == 0)
			status = refuse_double(cli, &plan->variables[i], &variable);
	if (status == CLI_DONE && variable.name)
		variables = array_room(plan->variables, plan->count, sizeof *variables);
	if (!variables) {
		free(variable.name);
		return status != CLI_DONE ? status : fail_memory(cli);
	}
	plan->variables = variables;
	plan->variables[plan->count++] = variable;
	return CLI_DONE;
}

/* The place of a path in the batch, where the same stands once. */
static int add_path(struct cli *cli, struct exec_plan *plan, const char *given, int *out_item)
{
	int status;

	for (int i = 0; i < plan->fetch.count; i++)
		if (strcmp(plan->fetch.items[i].given, given) == 0) {
			*out_item = i;
			return CLI_DONE;
		}
	status = fetch_add(cli, &plan->fetch, given);
	if (status == CLI_DONE)
		*out_item = plan->fetch.count - 1;
	return status;
}

/* N=PATH, as it was typed. */
static int add_pair(
	struct cli *cli, struct exec_plan *plan, const struct option *option, const char *pair)
{
	size_t size = strcspn(pair, "=");
	struct exec_variable variable = {.from = option};
	int status;

	if (pair[size] == '\0' || pair[size + 1] == '\0')
		return output_fail(
			cli, MORTISE_INVALID, "--%s wants %s", option->name, option->argument);
	if (!envfile_is_name(pair, size))
		return output_fail(cli, MORTISE_INVALID,
			"--%s: a variable's name is made of letters, digits and _, a letter first",
			option->name);
	status = add_path(cli, plan, pair + size + 1, &variable.item);
	if (status != CLI_DONE)
		return status;
	variable.name = strndup(pair, size);
	variable.is_descriptor = strcmp(option->name, "fd") == 0;
	return add_variable(cli, plan, variable);
}

struct env_file {
	struct cli *cli;
	struct exec_plan *plan;
	const struct option *option;
};

static int add_entry(void *context, const struct envfile_entry *entry)
{
	const struct env_file *file = context;
	struct exec_variable variable = {
		.literal = entry->value, .item = EXEC_PLAN_LITERAL, .from = file->option};

	if (strncmp(entry->value, ENVFILE_REFERENCE, strlen(ENVFILE_REFERENCE)) == 0) {
		int status = add_path(file->cli, file->plan,
			entry->value + strlen(ENVFILE_REFERENCE), &variable.item);

		if (status != CLI_DONE)
			return status;
	}
	variable.name = strdup(entry->name);
	return add_variable(file->cli, file->plan, variable);
}

static int add_env_file(
	struct cli *cli, struct exec_plan *plan, const struct option *option, const char *name)
{
	struct env_file file = {cli, plan, option};

	if (plan->env_file)
		return output_fail(cli, MORTISE_INVALID, "--env-file can be given once");
	return envfile_input_read(cli, name, &plan->env_file, add_entry, &file);
}

static int add_child(
	struct cli *cli, struct exec_plan *plan, const struct option *option, const char *path)
{
	struct exec_variable variable = {.from = option};
	char name[MORTISE_PATH_MAX + 1];
	char **paths = array_room(plan->paths, plan->path_count, sizeof *paths);
	char *copy = strdup(path);
	int status;

	if (paths)
		plan->paths = paths;
	if (!paths || !copy) {
		free(copy);
		return fail_memory(cli);
	}
	plan->paths[plan->path_count++] = copy;
	status = add_path(cli, plan, copy, &variable.item);
	if (status != CLI_DONE)
		return status;
	envfile_name_of(copy, name);
	if (!envfile_is_name(name, strlen(name)))
		return output_fail(cli, MORTISE_REJECTED,
			"%s: begins with a digit and gives no variable's name; use -e NAME=%s",
			path, path);
	variable.name = strdup(name);
	return add_variable(cli, plan, variable);
}

static int add_children(struct cli *cli, struct exec_plan *plan, const struct option *option,
	const char *prefix, const struct listing *listing)
{
	size_t size = strlen(prefix), before = plan->count;

	for (size_t i = 0; i < listing->count; i++) {
		const struct listing_entry *entry = &listing->entries[i];
		int status;

		if (entry->is_deleted || strlen(entry->path) <= size + 1 ||
			strchr(entry->path + size + 1, '/'))
			continue;
		status = add_child(cli, plan, option, entry->path);
		if (status != CLI_DONE)
			return status;
	}
	if (plan->count > before)
		return CLI_DONE;
	return output_fail(cli, MORTISE_NOT_FOUND,
		"%s/: no secret that you may see is right below it; see: mortise list -r", prefix);
}

static int add_prefix(
	struct cli *cli, struct exec_plan *plan, const struct option *option, const char *given)
{
	struct listing listing = {0};
	struct ask_path prefix;
	enum mortise_status status;
	int ending = ask_expand(cli, given, &prefix);
	size_t size;

	if (ending != CLI_DONE)
		return ending;
	size = strlen(prefix.text);
	if (size < 2 || prefix.text[size - 1] != '/')
		return output_fail(cli, MORTISE_INVALID,
			"--env-from wants a prefix with / at its end, like prod/app/");
	prefix.text[size - 1] = '\0';
	status = listing_collect(cli, prefix.text, &listing);
	if (status != MORTISE_OK)
		ending = ask_fail(cli, status, prefix.text);
	else
		ending = add_children(cli, plan, option, prefix.text, &listing);
	listing_done(&listing);
	return ending;
}

static int add_option(
	struct cli *cli, struct exec_plan *plan, const struct option *option, const char *value)
{
	if (strcmp(option->name, "env-file") == 0)
		return add_env_file(cli, plan, option, value);
	if (strcmp(option->name, "env-from") == 0)
		return add_prefix(cli, plan, option, value);
	if (strcmp(option->name, "env") == 0 || strcmp(option->name, "fd") == 0)
		return add_pair(cli, plan, option, value);
	return CLI_DONE;
}

/* A variable ends at a NUL, and a part of a password is none. */
static int check_values(const struct cli *cli, const struct exec_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct exec_variable *variable = &plan->variables[i];
		const struct fetched *value;

		if (variable->item == EXEC_PLAN_LITERAL || variable->is_descriptor)
			continue;
		value = exec_plan_value(plan, variable);
		if (value->size > 0 && memchr(value->bytes, '\0', value->size))
			return output_fail(cli, MORTISE_REJECTED,
				"%s: has a NUL in it, and a variable cannot hold that; use --fd "
				"%s=%s",
				value->given, variable->name, value->given);
	}
	return CLI_DONE;
}

int exec_plan_make(struct cli *cli, struct exec_plan *plan)
{
	const struct fetch_version current = {.has_number = false};
	int status = CLI_DONE;

	for (int i = 0; i < cli->given_count && status == CLI_DONE; i++)
		status = add_option(cli, plan, cli->given[i].option, cli->given[i].value);
	if (status == CLI_DONE)
		status = fetch_values(cli, &plan->fetch, &current);
	return status == CLI_DONE ? check_values(cli, plan) : status;
}

const struct fetched *exec_plan_value(
	const struct exec_plan *plan, const struct exec_variable *variable)
{
	return &plan->fetch.items[variable->item];
}

void exec_plan_done(struct cli *cli, struct exec_plan *plan)
{
	fetch_drop(cli, &plan->fetch);
	for (size_t i = 0; i < plan->count; i++)
		free(plan->variables[i].name);
	free(plan->variables);
	for (size_t i = 0; i < plan->path_count; i++)
		free(plan->paths[i]);
	free(plan->paths);
	input_free(&plan->env_file);
	*plan = (struct exec_plan){0};
}

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
		if (at < size && (value[at] == 0 || !strchr(".-_@", value[at])))
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
		if (strchr("/-_.", *at))
			last = at + 1;
	if (strncasecmp(last, "pg", 2) == 0 || strncasecmp(last, "db", 2) == 0)
		last += strcasecmp(last, "dbname") == 0 ? 0 : 2;
	for (const char *const *word = words; *word; word++)
		if (strcasecmp(*word, last) == 0)
			return true;
	return false;
}

bool exec_mask_is_word(const char *path, const char *field, const uint8_t *value, size_t size)
{
	return is_named_so(field ? field : path) && looks_like_word(value, size);
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

	for (const char *at = list; at; at = strchr(at, ',')) {
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

	if (list && args_has(cli, "no-mask"))
		return output_fail(
			cli, MORTISE_INVALID, "--%s and --no-mask do not go together", option);
	for (const char *at = list; at && *at != '\0';) {
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
		seen->variable = variable ? variable->name : "N";
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
