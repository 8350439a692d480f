/* SPDX-License-Identifier: ISC */
/* policy edit: the files in force, in an editor, and back. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "output.h"
#include "policy_units.h"

#define NAME_ROOM (POLICY_NAME_SIZE + sizeof POLICY_ENDING)

/* A directory that nobody else may enter, and what lies in it. */
struct desk {
	char path[128];
	struct policy_files files; /* as they were, or as they are now */
	uint64_t version;
	bool is_kept;
};

/* Editors leave copies behind. */
static void clear(struct desk *desk)
{
	DIR *directory = desk->path[0] != '\0' && !desk->is_kept ? opendir(desk->path) : NULL;
	struct dirent *entry;

	policy_files_drop(&desk->files);
	if (!directory)
		return;
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(dirfd(directory), entry->d_name, 0);
	(void)closedir(directory);
	(void)rmdir(desk->path);
}

/* As it lies there: what it is applied by, with the ending that `policy apply` asks for. */
static void name_on_desk(const struct policy_file *file, char out_name[NAME_ROOM])
{
	size_t size = strlen(file->name), ending = strlen(POLICY_ENDING);
	bool has_ending = size > ending && strcmp(file->name + size - ending, POLICY_ENDING) == 0;

	(void)snprintf(out_name, NAME_ROOM, "%.*s%s", POLICY_NAME_SIZE - 1, file->name,
		has_ending ? "" : POLICY_ENDING);
}

/* Names come from whoever applied the files: none leads out of the directory. */
static int check_name(const struct cli *cli, const char *name)
{
	if (name[0] != '\0' && name[0] != '.' && !strchr(name, '/'))
		return CLI_DONE;
	return output_fail(cli, MORTISE_REJECTED,
		"the policy's file '%s' cannot be edited under that name; use policy show and "
		"policy apply",
		name);
}

static int fetch(struct cli *cli, struct desk *desk)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int ending;

	if (!out)
		return output_fail(cli, MORTISE_IO, "out of memory");
	ending = policy_fetch(cli, out, &desk->version);
	if (fclose(out) != 0 && ending == CLI_DONE)
		ending = output_fail(cli, MORTISE_IO, "out of memory");
	if (ending == CLI_DONE && !policy_files_split(text, &desk->files))
		ending = output_fail(cli, MORTISE_IO, "the policy shown has no such files");
	for (int i = 0; ending == CLI_DONE && i < desk->files.count; i++)
		ending = check_name(cli, desk->files.file[i].name);
	free(text);
	return ending;
}

static int fail_desk(const struct cli *cli, const struct desk *desk, const char *name)
{
	return output_fail(
		cli, MORTISE_IO, "cannot write %s/%s: %s", desk->path, name, strerror(errno));
}

static int lay_out(const struct cli *cli, struct desk *desk)
{
	const char *base = secure_getenv("TMPDIR");
	int directory, ending = CLI_DONE;

	if (!base || base[0] != '/' || strlen(base) > 64)
		base = "/tmp";
	(void)snprintf(desk->path, sizeof desk->path, "%s/mortise-policy-XXXXXX", base);
	if (!mkdtemp(desk->path)) { /* 0700 */
		desk->path[0] = '\0';
		return output_fail(cli, MORTISE_IO, "cannot make a directory in %s: %s", base,
			strerror(errno));
	}
	directory = open(desk->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < desk->files.count && ending == CLI_DONE; i++) {
		char name[NAME_ROOM];
		int fd;

		name_on_desk(&desk->files.file[i], name);
		fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || output_write(fd, desk->files.file[i].bytes,
				      desk->files.file[i].size) != MORTISE_OK)
			ending = fail_desk(cli, desk, name);
		if (fd >= 0)
			(void)close(fd);
	}
	if (directory >= 0)
		(void)close(directory);
	return ending;
}

/* The editor may be any command of the shell, as elsewhere. */
static _Noreturn void become_editor(const struct desk *desk)
{
	static const char script[] = "eval \"${VISUAL:-${EDITOR:-vi}} \\\"\\$@\\\"\"";
	char *arguments[POLICY_FILES_MAX + 5] = {
		strdup("sh"), strdup("-c"), strdup(script), strdup("mortise")};
	char name[NAME_ROOM];

	if (chdir(desk->path) == 0) {
		for (int i = 0; i < desk->files.count; i++) {
			name_on_desk(&desk->files.file[i], name);
			arguments[4 + i] = strdup(name);
		}
		(void)execv("/bin/sh", arguments);
	}
	_exit(127);
}

static int run_editor(const struct cli *cli, const struct desk *desk)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, interrupt, quit;
	int status = -1;
	pid_t child;

	(void)sigaction(SIGINT, &ignore, &interrupt);
	(void)sigaction(SIGQUIT, &ignore, &quit);
	child = fork();
	if (child == 0) {
		(void)sigaction(SIGINT, &interrupt, NULL);
		(void)sigaction(SIGQUIT, &quit, NULL);
		become_editor(desk);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	(void)sigaction(SIGINT, &interrupt, NULL);
	(void)sigaction(SIGQUIT, &quit, NULL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return CLI_DONE;
	return output_fail(cli, MORTISE_IO,
		"the editor failed, so nothing was applied; VISUAL or EDITOR name another one");
}

/* What the files are now takes the place of what they were. */
static int read_back(const struct cli *cli, struct desk *desk, bool *out_changed)
{
	CLEANUP(policy_files_drop) struct policy_files before = desk->files;
	bool has_changed = false;

	desk->files = (struct policy_files){.count = 0};
	for (int i = 0; i < before.count; i++) {
		char name[NAME_ROOM], path[sizeof desk->path + NAME_ROOM];
		int fd, ending;

		name_on_desk(&before.file[i], name);
		(void)snprintf(path, sizeof path, "%s/%s", desk->path, name);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0)
			return output_fail(
				cli, MORTISE_IO, "cannot read %s: %s", path, strerror(errno));
		ending = policy_files_add(cli, &desk->files, before.file[i].name, fd, path);
		(void)close(fd);
		if (ending != CLI_DONE)
			return ending;
		has_changed |= desk->files.file[i].size != before.file[i].size ||
			       memcmp(desk->files.file[i].bytes, before.file[i].bytes,
				       before.file[i].size) != 0;
	}
	*out_changed = has_changed;
	return CLI_DONE;
}

static int apply(struct cli *cli, struct desk *desk)
{
	const struct policy_change change = {.opcode = WIRE_POLICY_APPLY,
		.send = policy_files_send,
		.context = &desk->files,
		.base = desk->version};
	int ending;

	policy_units_warn(cli, &desk->files);
	ending = policy_change(cli, &change);

	desk->is_kept = ending != CLI_DONE || cli->is_dry_run;
	if (desk->is_kept)
		output_note("what you wrote is kept in %s; to apply it: mortise policy apply %s",
			desk->path, desk->path);
	return ending;
}

static int report_unchanged(const struct cli *cli, const struct desk *desk)
{
	if (cli->is_json)
		return output_json(json_pack("{s:o, s:b, s:b, s:[], s:[]}", "version",
			output_json_number(desk->version), "changed", false, "dry_run",
			cli->is_dry_run, "changes", "warnings"));
	printf("policy: version %llu, unchanged\n", (unsigned long long)desk->version);
	return CLI_DONE;
}

static int edit(struct cli *cli)
{
	CLEANUP(clear) struct desk desk = {.version = 0};
	bool has_changed = false;
	int ending = fetch(cli, &desk);

	if (ending == CLI_DONE)
		ending = lay_out(cli, &desk);
	if (ending == CLI_DONE)
		ending = run_editor(cli, &desk);
	if (ending == CLI_DONE)
		ending = read_back(cli, &desk, &has_changed);
	if (ending != CLI_DONE)
		return ending;
	return has_changed ? apply(cli, &desk) : report_unchanged(cli, &desk);
}

static const struct option options[] = {POLICY_FORCE_OPTION, {0}};

const struct command command_policy_edit = {
	.name = "policy edit",
	.operands = "",
	.summary = "change the files in force in an editor, and apply them",
	.options = options,
	.changes_something = true,
	.verb = "admin",
	.exits = {CLI_INTEGRITY, CLI_CONFLICT, CLI_REJECTED},
	.notes = "The editor is $VISUAL or $EDITOR, or else vi. The files lie in a directory that\n"
		 "only you may enter; what is not applied stays there. Files elsewhere, as "
		 "in\n" POLICY_DIRECTORY ", are left as they are.",
	.examples = "  mortise policy edit",
	.run = edit,
};
