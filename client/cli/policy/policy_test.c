/* SPDX-License-Identifier: ISC */
/*
 * policy test: files of expectations, judged here and without an agent, as a repository's CI
 * wants it. The one command that knows how policies are read.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli.h"
#include "output.h"
#include "policy_test.h"

#define DIRECTORY_BESIDE "policy.d"
#define POLICY_ENDING    ".policy"
#define CHUNK_SIZE       65536

struct files {
	struct policy_file list[POLICY_FILES_MAX];
	size_t count;
};

struct judging {
	const struct cli *cli;
	struct files policies, tests;
	json_t *failures;
	unsigned passed, failed;
};

static void drop_files(struct files *files)
{
	for (size_t i = 0; i < files->count; i++) {
		free((char *)(uintptr_t)files->list[i].name);
		free((char *)(uintptr_t)files->list[i].text);
	}
}

static int fail_errno(const struct cli *cli, const char *path)
{
	return output_fail(cli, MORTISE_IO, "cannot read %s: %s", path, strerror(errno));
}

/* All of it, or NULL with errno. */
static char *read_whole(FILE *file, size_t *out_size)
{
	char *text = NULL;
	size_t used = 0;

	for (;;) {
		char *more = realloc(text, used + CHUNK_SIZE);

		if (!more)
			break;
		text = more;
		used += fread(text + used, 1, CHUNK_SIZE, file);
		if (used > POLICY_TEXT_MAX)
			errno = EFBIG;
		if (ferror(file) || used > POLICY_TEXT_MAX)
			break;
		if (feof(file)) {
			*out_size = used;
			return text;
		}
	}
	free(text);
	return NULL;
}

static int add_file(const struct cli *cli, struct files *files, const char *path, const char *name)
{
	if (files->count == POLICY_FILES_MAX)
		return output_fail(cli, MORTISE_REJECTED,
			"a policy is at most %d files; join some of them", POLICY_FILES_MAX);
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	struct policy_file *entry = &files->list[files->count];
	size_t size = 0;
	char *text;

	if (!file)
		return fail_errno(cli, path);
	text = read_whole(file, &size);
	int error = errno;
	if (file != stdin)
		(void)fclose(file);
	errno = error;
	if (!text && error == EFBIG)
		return output_fail(cli, MORTISE_REJECTED,
			"a policy is at most %d bytes; %s is more", POLICY_TEXT_MAX, path);
	if (!text)
		return fail_errno(cli, path);
	*entry = (struct policy_file){strdup(name), text, size};
	files->count++;
	return entry->name ? CLI_DONE : output_fail(cli, MORTISE_IO, "out of memory");
}

static int is_policy(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name), ending = strlen(POLICY_ENDING);

	return entry->d_name[0] != '.' && size > ending &&
	       strcmp(entry->d_name + size - ending, POLICY_ENDING) == 0;
}

/* As apply does: *.policy, in the order of their names. */
static int by_name(const struct dirent **one, const struct dirent **other)
{
	return strcmp((*one)->d_name, (*other)->d_name);
}

static int add_directory(const struct cli *cli, struct files *files, const char *path)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_policy, by_name), ending = CLI_DONE;

	if (count < 0)
		return fail_errno(cli, path);
	if (count == 0)
		ending = output_fail(
			cli, MORTISE_REJECTED, "%s has no file *%s", path, POLICY_ENDING);
	for (int i = 0; i < count; i++) {
		char *whole = NULL;

		if (ending == CLI_DONE && asprintf(&whole, "%s/%s", path, entries[i]->d_name) < 0)
			ending = output_fail(cli, MORTISE_IO, "out of memory");
		if (ending == CLI_DONE)
			ending = add_file(cli, files, whole, entries[i]->d_name);
		free(whole);
		free(entries[i]);
	}
	free(entries);
	return ending;
}

static int add_policy(const struct cli *cli, struct files *files, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct stat status;

	if (stat(path, &status) != 0)
		return fail_errno(cli, path);
	if (S_ISDIR(status.st_mode))
		return add_directory(cli, files, path);
	return add_file(cli, files, path, slash ? slash + 1 : path);
}

/* policy.d in the directory of the expectations. */
static int add_beside(const struct cli *cli, struct files *files, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *whole = NULL;
	int ending;

	if (asprintf(&whole, "%.*s" DIRECTORY_BESIDE, slash ? (int)(slash + 1 - path) : 0, path) <
		0)
		return output_fail(cli, MORTISE_IO, "out of memory");
	ending = add_directory(cli, files, whole);
	free(whole);
	return ending;
}

static void visit(void *context, const struct policy_test_result *result)
{
	struct judging *judging = context;

	if (result->passed) {
		judging->passed++;
		return;
	}
	judging->failed++;
	if (judging->cli->is_json) {
		(void)json_array_append_new(judging->failures,
			json_pack("{s:o, s:i, s:o, s:o}", "file", output_json_said(result->file),
				"line", (int)result->line, "name", output_json_said(result->name),
				"text", output_json_said(result->text)));
		return;
	}
	output_text(result->file);
	(void)printf(":%u: ", result->line);
	output_text(result->name);
	(void)fputs(" failed: ", stdout);
	output_text(result->text);
	(void)putchar('\n');
}

static int report(struct judging *judging)
{
	const struct cli *cli = judging->cli;
	int ending = judging->failed > 0 ? CLI_FOUND : CLI_DONE, printed;

	if (judging->passed + judging->failed == 0)
		return output_fail(cli, MORTISE_REJECTED, "%s: no section [expect NAME]",
			judging->tests.list[0].name);
	if (!cli->is_json) {
		(void)printf("%u passed, %u failed\n", judging->passed, judging->failed);
		return ending;
	}
	printed = output_json(json_pack("{s:i, s:i, s:O}", "passed", (int)judging->passed, "failed",
		(int)judging->failed, "failures", judging->failures));
	return printed == CLI_DONE ? ending : printed;
}

static int judge(struct judging *judging)
{
	const struct files *policies = &judging->policies, *tests = &judging->tests;
	struct policy_error error;
	enum mortise_status status = policy_test(policies->list, policies->count, tests->list,
		tests->count, time(NULL), visit, judging, &error);

	if (status == MORTISE_REJECTED)
		return output_fail(judging->cli, status, "%s", error.text);
	if (status != MORTISE_OK)
		return output_fail(judging->cli, MORTISE_IO, "out of memory");
	return report(judging);
}

static int test(struct cli *cli)
{
	struct judging *judging = calloc(1, sizeof *judging);
	const char *expectations = cli->operands[0];
	int ending;

	tzset();
	if (!judging || !(judging->failures = json_array())) {
		free(judging);
		return output_fail(cli, MORTISE_IO, "out of memory");
	}
	judging->cli = cli;
	ending = add_file(cli, &judging->tests, expectations,
		strcmp(expectations, "-") == 0 ? "standard-input" : expectations);
	if (ending == CLI_DONE && cli->operand_count == 1)
		ending = add_beside(cli, &judging->policies, expectations);
	for (int i = 1; ending == CLI_DONE && i < cli->operand_count; i++)
		ending = add_policy(cli, &judging->policies, cli->operands[i]);
	if (ending == CLI_DONE)
		ending = judge(judging);
	drop_files(&judging->policies);
	drop_files(&judging->tests);
	json_decref(judging->failures);
	free(judging);
	return ending;
}

const struct command command_policy_test = {
	.name = "policy test",
	.operands = "FILE [POLICY...]",
	.summary = "judge a file of expectations, without an agent",
	.least = 1,
	.most = POLICY_FILES_MAX,
	.exits = {CLI_FOUND, CLI_REJECTED},
	.notes = "POLICY is a file or a directory of files *.policy; without one it is the "
		 "directory\n" DIRECTORY_BESIDE
		 " beside FILE. No user or group need exist here: docs/policy.md has\n"
		 "the form of FILE. Hours are those of TZ. Exit status 1 if an expectation fails, "
		 "78\n"
		 "for a mistake in a file.",
	.examples = "  mortise policy test expectations.ini\n"
		    "  TZ=Europe/Berlin mortise policy test tests/backup.ini policy.d",
	.run = test,
};
