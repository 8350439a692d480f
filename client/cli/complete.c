/* SPDX-License-Identifier: ISC */
#include "complete.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "accounts.h"
#include "args.h"
#include "ask.h"
#include "list.h"
#include "output.h"

static bool is_folder(const char *path)
{
	size_t size = strlen(path);

	return size > 0 && path[size - 1] == '/';
}

/* A deleted secret can be brought back, or destroyed; else it is in nobody's way. */
static bool is_wanted(const struct command *command, const struct listing_entry *entry)
{
	if (command == &command_undelete)
		return entry->is_deleted;
	return !entry->is_deleted || command == &command_destroy || command == &command_show;
}

struct level {
	const struct command *command;
	const char *folder;
};

static bool take(void *context, const struct listing *listing, const struct listing_entry *entry)
{
	const struct level *level = context;

	(void)listing;
	if (!is_wanted(level->command, entry))
		return false;
	listing_fold(entry, level->folder);
	return true;
}

/* The level below folder, "" or one without its '/'. complete->fixed is where names begin. */
static void offer_below(const struct complete *complete, const char *folder, bool only_folders)
{
	struct level level = {complete->cli->command, folder};
	CLEANUP(listing_done) struct listing listing = {.takes = take, .context = &level};
	size_t skip = strlen(folder) + (folder[0] != '\0');

	if (listing_collect(complete->cli, folder, &listing) != MORTISE_OK)
		return;
	listing_settle(&listing);
	for (size_t i = 0; i < listing.count; i++) {
		const char *path = listing.entries[i].path;

		/* The folder may also be a secret; and no agent gets a control character in. */
		if (strlen(path) <= skip || (only_folders && !is_folder(path)) ||
			path[strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789._-/")] != '\0')
			continue;
		complete_offer(complete, path + skip, NULL);
	}
}

static void ask(struct complete *complete, bool only_folders)
{
	const char *typed = complete->word + complete->fixed;
	const char *slash = strrchr(typed, '/');
	char given[MORTISE_PATH_MAX + 1] = "";
	struct ask_path folder;

	if (slash && (size_t)(slash - typed) < sizeof given)
		memcpy(given, typed, (size_t)(slash - typed));
	if ((slash && given[0] == '\0') || ask_expand(complete->cli, given, &folder) != CLI_DONE)
		return;
	if (slash)
		complete->fixed += (size_t)(slash + 1 - typed);
	offer_below(complete, folder.text, only_folders);
}

void complete_paths(const struct complete *complete, bool only_folders)
{
	struct complete below = *complete;
	struct cli *cli = complete->cli;

	if (strcmp(complete->word + complete->fixed, "@") == 0) {
		complete_offer(complete, "@/", "the agent's environment");
		return;
	}
	if (client_new(cli->socket_path, &cli->agent) == MORTISE_OK)
		ask(&below, only_folders);
	mortise_close(cli->agent);
	cli->agent = NULL;
}

#define DEADLINE_MS   500
#define NAME_MAX_SIZE 80

static const struct {
	const char *word;
	enum complete_kind kind;
} kinds[] = {
	{"PATH", COMPLETE_PATH},
	{"NEW-PATH", COMPLETE_PATH},
	{"PREFIX", COMPLETE_PREFIX},
	{"F", COMPLETE_FILE},
	{"FILE", COMPLETE_FILE},
	{"TEMPLATE", COMPLETE_FILE},
	{"POLICY", COMPLETE_FILE},
	{"PROGRAM", COMPLETE_FILE},
	{"DIR", COMPLETE_DIRECTORY},
	{"U", COMPLETE_USER},
	{"G", COMPLETE_GROUP},
	{"VERB", COMPLETE_VERB},
	{"CMD", COMPLETE_COMMAND},
};

/* Of a word such as "PATH[#FIELD]..." or "FILE|DIRECTORY|-" the beginning counts. */
static enum complete_kind kind_of(const char *word)
{
	size_t size = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-");

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strlen(kinds[i].word) == size && strncmp(word, kinds[i].word, size) == 0)
			return kinds[i].kind;
	return COMPLETE_NOTHING;
}

enum complete_kind complete_kind_of_operand(const struct command *command, int index)
{
	const char *word = command->operands;

	if (index >= command->most)
		return COMPLETE_NOTHING;
	for (; *word != '\0'; word += strspn(word, " ")) {
		size_t size = strcspn(word, " ");
		const char *name = word + (*word == '[');
		bool is_repeated = memmem(word, size, "...", 3) != NULL;

		word += size;
		if (*name == '-' || *name == '|')
			continue;
		if (index == 0 || is_repeated)
			return kind_of(name);
		index--;
	}
	return COMPLETE_NOTHING;
}

/* "N=PATH" is a name, and then a path. */
enum complete_kind complete_kind_of_value(const struct option *option)
{
	const char *word = option->argument, *equals;

	if (!word)
		return COMPLETE_NOTHING;
	equals = strchr(word, '=');
	return kind_of(equals ? equals + 1 : word);
}

void complete_offer(const struct complete *complete, const char *text, const char *about)
{
	const char *typed = complete->word + complete->fixed;

	if (strncmp(text, typed, strlen(typed)) != 0)
		return;
	(void)fprintf(complete->out, "%.*s%s%s%s\n", (int)complete->fixed, complete->word, text,
		about ? "\t" : "", about ? about : "");
}

/* Commands' names, a word at a time. */
static void offer_names(const struct complete *complete, const char *group)
{
	const struct command *const *at = complete->cli->commands;
	size_t skip = group ? strlen(group) + 1 : 0;
	char last[NAME_MAX_SIZE] = "";

	for (; *at; at++) {
		const char *name = (*at)->name;
		char word[NAME_MAX_SIZE];

		if ((*at)->is_hidden)
			continue;
		if (group && (strncmp(name, group, skip - 1) != 0 || name[skip - 1] != ' '))
			continue;
		(void)snprintf(
			word, sizeof word, "%.*s", (int)strcspn(name + skip, " "), name + skip);
		if (strcmp(word, last) == 0)
			continue;
		complete_offer(
			complete, word, name[skip + strlen(word)] == '\0' ? (*at)->summary : NULL);
		memcpy(last, word, sizeof last);
	}
}

/* A letter alone is nothing to find, but to end with a blank. */
static void offer_option(const struct complete *complete, const struct option *option)
{
	char text[NAME_MAX_SIZE];

	(void)snprintf(text, sizeof text, "-%c", option->letter);
	if (option->letter != 0 && strcmp(complete->word, text) == 0)
		complete_offer(complete, text, option->help);
	(void)snprintf(text, sizeof text, "--%s%s", option->name, option->argument ? "=" : "");
	if (args_find(complete->cli, text) == option) /* not get's --version behind another */
		complete_offer(complete, text, option->help);
}

static void offer_options(const struct complete *complete)
{
	const struct option *tables[3];

	args_tables(complete->cli->command, tables);
	for (int i = 0; i < 3; i++)
		for (const struct option *at = tables[i]; at && at->name; at++)
			offer_option(complete, at);
}

static void offer_users(const struct complete *complete)
{
	accounts_begin();
	for (const struct passwd *user; (user = accounts_next_user());)
		complete_offer(complete, user->pw_name, NULL);
	accounts_end();
}

static void offer_groups(const struct complete *complete)
{
	accounts_begin();
	for (const struct group *group; (group = accounts_next_group());)
		complete_offer(complete, group->gr_name, NULL);
	accounts_end();
}

/* All that a command needs; each once, where it comes first. */
static void offer_verbs(const struct complete *complete)
{
	const struct command *const *commands = complete->cli->commands;

	for (int i = 0; commands[i]; i++) {
		int first = 0;

		if (!commands[i]->verb)
			continue;
		while (!commands[first]->verb ||
			strcmp(commands[first]->verb, commands[i]->verb) != 0)
			first++;
		if (first == i)
			complete_offer(complete, commands[i]->verb, NULL);
	}
}

static void offer_kind(struct complete *complete, enum complete_kind kind)
{
	if (kind == COMPLETE_PATH || kind == COMPLETE_PREFIX)
		complete_paths(complete, kind == COMPLETE_PREFIX);
	else if (kind == COMPLETE_FILE)
		(void)fprintf(complete->out, "files %zu\n", complete->fixed);
	else if (kind == COMPLETE_DIRECTORY)
		(void)fprintf(complete->out, "directories %zu\n", complete->fixed);
	else if (kind == COMPLETE_USER)
		offer_users(complete);
	else if (kind == COMPLETE_GROUP)
		offer_groups(complete);
	else if (kind == COMPLETE_VERB)
		offer_verbs(complete);
}

/* The first word of a command line of its own, in argv; 0: the word is still mortise's. */
static int own_command_at(const struct cli *cli, int last)
{
	if (cli->operands_at > 0)
		return cli->operands_at;
	if (cli->behind_at > 0 && strstr(cli->command->operands, "[-- CMD"))
		return cli->behind_at;
	return complete_kind_of_operand(cli->command, cli->operand_count) == COMPLETE_COMMAND ? last
											      : 0;
}

static void offer_value(struct complete *complete, const struct args_place *place)
{
	const char *equals = strchr(complete->word, '=');

	if (place->is_option && equals)
		complete->fixed = (size_t)(equals + 1 - complete->word);
	if (strchr(place->option->argument, '=')) { /* N=PATH */
		equals = strchr(complete->word + complete->fixed, '=');
		if (!equals)
			return;
		complete->fixed = (size_t)(equals + 1 - complete->word);
	}
	offer_kind(complete, complete_kind_of_value(place->option));
}

static void offer_operand(struct complete *complete, int last)
{
	const struct command *command = complete->cli->command;
	int own_at = own_command_at(complete->cli, last);

	if (own_at > 0)
		(void)fprintf(complete->out, "command %d\n", own_at - 1);
	else
		offer_kind(
			complete, complete_kind_of_operand(command, complete->cli->operand_count));
}

static void offer(struct complete *complete, const struct args_place *place, int last)
{
	if (place->option && place->option->argument)
		offer_value(complete, place);
	else if (place->is_option)
		offer_options(complete);
	else if (!complete->cli->command)
		offer_names(complete, place->group);
	else
		offer_operand(complete, last);
}

void complete_line(struct cli *cli, char *const *words, int count, FILE *out)
{
	char **argv = calloc((size_t)count + 2, sizeof *argv);
	const char **operands = calloc((size_t)count + 2, sizeof *operands);
	struct args_place place;
	struct cli typed;

	if (argv && operands && count > 0) {
		argv[0] = "mortise";
		memcpy(argv + 1, words, (size_t)count * sizeof *argv);
		struct complete complete = {.cli = &typed, .out = out, .word = argv[count]};

		if (args_locate(&typed, cli->commands, count + 1, argv, operands, &place)) {
			if (!typed.socket_path)
				typed.socket_path = cli->socket_path;
			offer(&complete, &place, count);
		}
	}
	free(operands);
	free(argv);
}

static void end_without(int number)
{
	(void)number;
	_exit(CLI_DONE);
}

/* Whatever hangs, be it the agent or a directory of users: nobody waits for it. */
static void set_deadline(void)
{
	const struct itimerval deadline = {.it_value = {.tv_usec = DEADLINE_MS * 1000}};

	(void)signal(SIGALRM, end_without);
	(void)setitimer(ITIMER_REAL, &deadline, NULL);
}

/* All of it or nothing: a part would look like all there is. */
static int complete(struct cli *cli)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	set_deadline();
	if (out) {
		complete_line(cli, cli->argv + cli->behind_at,
			cli->operand_count - cli->operands_before, out);
		if (fclose(out) == 0)
			(void)fwrite(text, 1, size, stdout);
	}
	free(text);
	return CLI_DONE;
}

const struct command command_complete = {
	.name = "complete",
	.operands = "-- WORD...",
	.summary = "say what may stand for the last WORD, for a shell's completion",
	.most = INT_MAX,
	.is_hidden = true,
	.notes = "The words are those behind mortise on a command line. It prints a candidate a "
		 "line,\n"
		 "and behind a tab what it is; no blank belongs behind one that ends with / or =.\n"
		 "Or one line: 'files N', 'directories N' (names of these, behind N bytes of the "
		 "word),\n"
		 "'command N' (from the word of that number on, the first being 0, it is a "
		 "command\n"
		 "line of its own). Paths are those that you may list; the agent's log says that "
		 "you\n"
		 "did. What cannot be had within half a second is left out, without an error.",
	.examples = "  mortise complete -- get prod/\n"
		    "  mortise complete -- policy ap",
	.run = complete,
};
