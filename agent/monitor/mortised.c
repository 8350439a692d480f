/* SPDX-License-Identifier: ISC */
/* The agent's program: options, then the monitor; or, with --keeper, the keeper. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "directory.h"
#include "keeper.h"
#include "listen_set.h"
#include "log.h"
#include "monitor.h"
#include "names.h"
#include "startup.h"

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "0"
#endif
#ifndef MORTISE_SEALER_PATH
#define MORTISE_SEALER_PATH "/usr/libexec/mortise/mortise-sealer"
#endif

struct options {
	const char *config_path; /* NULL: the default, which may be absent */
	const char *sealer_path;
	int ready_fd; /* -1: none */
	bool check_only;
};

/* All that lives as long as the monitor. */
struct agent {
	struct options options;
	struct config config;
	struct identity identity;
	struct owner owner;
	uint32_t operators_gid;
	char *notify_socket;
	int lock_fd;
	struct listen_set listeners;
};

#define ALL_VERBS        127u
#define CREDENTIALS_NAME "credentials"

static const char help[] =
	"usage: mortised [OPTIONS]\n"
	"Runs the mortise agent in the foreground; messages go to standard error.\n"
	"\n"
	"  -c, --config=FILE  configuration (" CONFIG_DEFAULT_PATH ")\n"
	"      --check        check configuration and directories, change nothing\n"
	"      --ready-fd=N   write a newline to descriptor N once the agent answers\n"
	"      --sealer=PATH  program that talks to the TPM or token\n"
	"      --help, --version\n";

static int exit_status_of(enum mortise_status status)
{
	switch (status) {
	case MORTISE_OK:
		return EX_OK;
	case MORTISE_CONFLICT:
		return EX_CANTCREAT;
	case MORTISE_IO:
		return EX_IOERR;
	default:
		return EX_CONFIG;
	}
}

/* --ready-fd: an open descriptor that is none of the standard ones. */
static int read_fd(const char *text)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || number > INT_MAX ||
		number <= STDERR_FILENO || fcntl((int)number, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	return (int)number;
}

_Noreturn static void misuse(const char *text)
{
	log_error("%s; try: mortised --help", text);
	exit(EX_USAGE);
}

_Noreturn static void print(const char *text)
{
	exit(fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR);
}

static void take_option(int option, struct options *options)
{
	if (option == 'c') {
		options->config_path = optarg;
	} else if (option == 'k') {
		options->check_only = true;
	} else if (option == 'r') {
		options->ready_fd = read_fd(optarg);
		if (options->ready_fd < 0)
			misuse("--ready-fd: not an open descriptor above 2");
	} else if (option == 's') {
		options->sealer_path = optarg;
		if (*optarg != '/')
			misuse("--sealer: not an absolute path");
	} else if (option == 'h') {
		print(help);
	} else if (option == 'v') {
		print("mortised " MORTISE_VERSION "\n");
	} else {
		exit(EX_USAGE); /* getopt has said why */
	}
}

static struct options read_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'k'},
		{"ready-fd", required_argument, NULL, 'r'},
		{"sealer", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	struct options options = {.sealer_path = MORTISE_SEALER_PATH, .ready_fd = -1};
	int option;

	while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1)
		take_option(option, &options);
	if (optind != argc)
		misuse("too many arguments");
	return options;
}

static enum mortise_status load_or_default(struct agent *agent, struct config_error *out_error)
{
	const char *path = agent->options.config_path;
	enum mortise_status status;

	if (path != NULL)
		return config_load(path, &agent->config, out_error);
	status = config_load(CONFIG_DEFAULT_PATH, &agent->config, out_error);
	if (status != MORTISE_NOT_FOUND)
		return status;
	return config_parse(CONFIG_DEFAULT_PATH, "", 0, &agent->config, out_error);
}

/* Afterwards in /, so as to keep no file system busy; not before: FILE may be relative. */
static enum mortise_status load_configuration(struct agent *agent)
{
	struct config_error error = {""};
	const char *path = agent->options.config_path;
	enum mortise_status status = load_or_default(agent, &error);

	if (status == MORTISE_OK && chdir("/") != 0) {
		path = "/";
		status = MORTISE_IO;
	}
	if (status == MORTISE_REJECTED)
		log_error("%s", error.text);
	else if (status != MORTISE_OK)
		log_error("%s: %s", path != NULL ? path : CONFIG_DEFAULT_PATH,
			status == MORTISE_NOT_FOUND ? "no such file" : strerror(errno));
	return status;
}

static enum mortise_status find_operators(struct agent *agent, struct refusal *out_refusal)
{
	const char *group = agent->config.operators;
	gid_t gid;

	agent->operators_gid = UINT32_MAX;
	if (group == NULL)
		return MORTISE_OK;
	switch (names_find_group(group, &gid)) {
	case MORTISE_OK:
		agent->operators_gid = gid;
		return MORTISE_OK;
	case MORTISE_NOT_FOUND:
		return refuse(
			MORTISE_REJECTED, out_refusal, "operators = %s: no such group", group);
	default:
		return refuse(MORTISE_IO, out_refusal,
			"operators = %s: the name service cannot be asked", group);
	}
}

/* With --check an absent directory is fine: it would be made. */
static enum mortise_status open_directory(struct agent *agent, const char *path,
	enum directory_kind kind, int *out_fd, struct refusal *out_refusal)
{
	bool check_only = agent->options.check_only;
	enum mortise_status status =
		directory_open(path, kind, &agent->owner, !check_only, out_fd, out_refusal);

	return check_only && status == MORTISE_NOT_FOUND ? MORTISE_OK : status;
}

static enum mortise_status check_directory_of(struct agent *agent, const char *file,
	enum directory_kind kind, struct refusal *out_refusal)
{
	CLEANUP(close_drop) int fd = -1;
	char directory[PATH_MAX];

	if (directory_of(file, directory) != MORTISE_OK)
		return refuse(MORTISE_REJECTED, out_refusal, "%s: not a file's path", file);
	return open_directory(agent, directory, kind, &fd, out_refusal);
}

static enum mortise_status open_store(struct agent *agent, struct refusal *out_refusal)
{
	CLEANUP(close_drop) int fd = -1;
	const char *path = agent->config.store;

	TRY(open_directory(agent, path, DIRECTORY_STORE, &fd, out_refusal));
	if (agent->options.check_only)
		return MORTISE_OK;
	return directory_lock(fd, path, &agent->owner, &agent->lock_fd, out_refusal);
}

static enum mortise_status check_listeners(struct agent *agent, struct refusal *out_refusal)
{
	const struct config *config = &agent->config;

	TRY(check_directory_of(agent, config->socket, DIRECTORY_SOCKET, out_refusal));
	for (size_t i = 0; i < config->socket_count; i++)
		TRY(check_directory_of(
			agent, config->sockets[i].path, DIRECTORY_SOCKET, out_refusal));
	if (config->credentials.is_wanted)
		TRY(check_directory_of(
			agent, config->credentials.path, DIRECTORY_SOCKET, out_refusal));
	return MORTISE_OK;
}

static enum mortise_status find_access(const struct config_socket *socket,
	struct listen_access *out_access, struct refusal *out_refusal)
{
	struct listen_access access = {.mode = 0666, .gid = (gid_t)-1, .is_stream = false};

	if (socket->group != NULL) {
		access.mode = 0660;
		if (names_find_group(socket->group, &access.gid) != MORTISE_OK)
			return refuse(MORTISE_REJECTED, out_refusal,
				"[socket %s]: group = %s: no such group", socket->name,
				socket->group);
	}
	if (socket->mode != 0)
		access.mode = socket->mode;
	*out_access = access;
	return MORTISE_OK;
}

static enum mortise_status open_listeners(struct agent *agent, struct refusal *out_refusal)
{
	const struct config *config = &agent->config;
	const struct config_credentials *credentials = &config->credentials;
	struct listen_wanted wanted[PROCESS_LISTENERS_MAX] = {
		{"main", config->socket, {0666, (gid_t)-1, false}, false}};
	size_t count = 1 + config->socket_count;
	enum mortise_status status;

	for (size_t i = 0; i < config->socket_count; i++) {
		const struct config_socket *socket = &config->sockets[i];

		wanted[i + 1] = (struct listen_wanted){.name = socket->name, .path = socket->path};
		TRY(find_access(socket, &wanted[i + 1].access, out_refusal));
	}
	if (agent->options.check_only)
		return check_listeners(agent, out_refusal);
	wanted[count++] = (struct listen_wanted){CREDENTIALS_NAME, credentials->path,
		{credentials->mode, (gid_t)-1, true}, !credentials->is_wanted};
	status = listen_set_open(wanted, count, &agent->owner, &agent->listeners, out_refusal);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return status;
}

/* The lock comes before the socket: it says whether the socket is stale. */
static enum mortise_status prepare(struct agent *agent, struct refusal *out_refusal)
{
	TRY(startup_find_identity(
		agent->config.user, agent->options.check_only, &agent->identity, out_refusal));
	agent->owner = (struct owner){agent->identity.uid, agent->identity.gid};
	TRY(find_operators(agent, out_refusal));
	TRY(open_store(agent, out_refusal));
	TRY(check_directory_of(agent, agent->config.audit_log, DIRECTORY_AUDIT, out_refusal));
	return open_listeners(agent, out_refusal);
}

static enum mortise_status clean(struct agent *agent)
{
	const char *notify_socket = getenv("NOTIFY_SOCKET");
	size_t passed = listen_set_passed();

	if (agent->options.ready_fd >= 0 && agent->options.ready_fd < LISTEN_FIRST_FD + (int)passed)
		misuse("--ready-fd: is a passed socket");
	if (notify_socket != NULL) {
		agent->notify_socket = strdup(notify_socket);
		if (agent->notify_socket == NULL)
			return MORTISE_IO;
	}
	TRY(startup_clean(passed, agent->options.ready_fd));
	return startup_set_limits();
}

static int monitor(struct agent *agent)
{
	const struct config *config = &agent->config;
	const struct listener *opened = agent->listeners.listeners;
	size_t count = 1 + config->socket_count;
	struct monitor_listener listeners[PROCESS_LISTENERS_MAX] = {
		{.name = "main", .verbs = ALL_VERBS, .fd = opened[0].fd}};
	const struct monitor_settings settings = {
		.config = &agent->config,
		.identity = &agent->identity,
		.operators_gid = agent->operators_gid,
		.keeper_program = "/proc/self/exe",
		.sealer_program = agent->options.sealer_path,
		.listeners = listeners,
		.listener_count = count + (opened[count].fd >= 0),
		.ready_fd = agent->options.ready_fd,
		.notify_socket = agent->notify_socket,
		.timing = monitor_usual_timing,
	};

	for (size_t i = 1; i < count; i++)
		listeners[i] = (struct monitor_listener){.name = config->sockets[i - 1].name,
			.verbs = config->sockets[i - 1].verbs,
			.fd = opened[i].fd};
	listeners[count] = (struct monitor_listener){.name = CREDENTIALS_NAME,
		.fd = opened[count].fd,
		.is_for_credentials = true,
		.wait_ms = config->credentials.wait_ms};
	return monitor_run(&settings);
}

static int run(struct agent *agent)
{
	struct refusal refusal = {""};
	enum mortise_status status = load_configuration(agent);

	if (status != MORTISE_OK)
		return exit_status_of(status);
	status = prepare(agent, &refusal);
	if (status != MORTISE_OK) {
		log_error("%s", refusal.text);
		return exit_status_of(status);
	}
	if (agent->options.check_only)
		return puts("configuration is good") >= 0 ? EX_OK : EX_IOERR;
	return monitor(agent);
}

static void drop_agent(struct agent *agent)
{
	listen_set_close(&agent->listeners);
	close_drop(&agent->lock_fd);
	config_done(&agent->config);
	free(agent->notify_socket);
}

int main(int argc, char **argv)
{
	struct agent agent = {.lock_fd = -1};
	int exit_status;

	if (argc == 2 && strcmp(argv[1], "--keeper") == 0)
		return keeper_main();
	log_open("mortised");
	agent.options = read_options(argc, argv);
	if (clean(&agent) != MORTISE_OK) {
		log_error("cannot start: %s", strerror(errno));
		return EX_OSERR;
	}
	exit_status = run(&agent);
	drop_agent(&agent);
	return exit_status;
}
