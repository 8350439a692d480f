/* SPDX-License-Identifier: ISC */
/* The agent's program: options, then the monitor; or, with --keeper, the keeper. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "directory.h"
#include "keeper.h"
#include "listen.h"
#include "log.h"
#include "monitor.h"
#include "names.h"
#include "startup.h"
#include "witness.h"
#include "verbs.h"

/*
 * The agent's command line. Reads it in main and nowhere else: what is wrong there ends the
 * process.
 */

struct mortised_options {
	const char *config_path; /* NULL: the default, which may be absent */
	const char *sealer_path;
	int ready_fd; /* -1: none */
	bool check_only;
};

#ifndef MORTISE_VERSION
#define MORTISE_VERSION "0"
#endif
#ifndef MORTISE_SEALER_PATH
#define MORTISE_SEALER_PATH "/usr/libexec/mortise/mortise-sealer"
#endif

static const char help[] =
	"usage: mortised [OPTIONS]\n"
	"Runs the mortise agent in the foreground; messages go to standard error.\n"
	"\n"
	"  -c, --config=FILE  configuration (" CONFIG_DEFAULT_PATH ")\n"
	"      --check        check configuration and directories, change nothing\n"
	"      --ready-fd=N   write a newline to descriptor N once the agent answers\n"
	"      --sealer=PATH  program that talks to the TPM or token\n"
	"      --help, --version\n";

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

/* Says what is wrong with the command line, and exits with 64. */
static _Noreturn void mortised_misuse(const char *text)
{
	log_error("%s; try: mortised --help", text);
	exit(EX_USAGE);
}

_Noreturn static void print(const char *text)
{
	exit(fputs(text, stdout) >= 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR);
}

static void take_option(int option, struct mortised_options *options)
{
	if (option == 'c') {
		options->config_path = optarg;
	} else if (option == 'k') {
		options->check_only = true;
	} else if (option == 'r') {
		options->ready_fd = read_fd(optarg);
		if (options->ready_fd < 0)
			mortised_misuse("--ready-fd: not an open descriptor above 2");
	} else if (option == 's') {
		options->sealer_path = optarg;
		if (*optarg != '/')
			mortised_misuse("--sealer: not an absolute path");
	} else if (option == 'h') {
		print(help);
	} else if (option == 'v') {
		print("mortised " MORTISE_VERSION "\n");
	} else {
		exit(EX_USAGE); /* getopt has said why */
	}
}

/* Exits for --help, --version (0) and for what cannot be understood (64). */
static struct mortised_options mortised_options_read(int argc, char **argv)
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
	struct mortised_options options = {.sealer_path = MORTISE_SEALER_PATH, .ready_fd = -1};
	int option;

	while ((option = getopt_long(argc, argv, "c:", known, NULL)) != -1)
		take_option(option, &options);
	if (optind != argc)
		mortised_misuse("too many arguments");
	return options;
}

/* All that lives as long as the monitor. */
struct agent {
	struct mortised_options options;
	struct config config;
	struct identity identity;
	struct owner owner;
	struct monitor_settings settings;
	char *config_path;  /* absolute, of the one that was loaded */
	bool has_no_config; /* there is none at its default place: the defaults count */
	char *notify_socket, *runtime_directory;
	bool has_watchdog;
	int lock_fd;
	struct listen_set listeners;
};

#define CREDENTIALS_NAME    "credentials"
#define SOCKET_DEFAULT_PATH "/run/mortise/mortise.sock"

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

/* Without -c the file may be absent. */
static enum mortise_status load_or_default(
	struct agent *agent, struct config *out_config, struct config_error *out_error)
{
	const char *path = agent->config_path;
	enum mortise_status status = config_load(path, out_config, out_error);

	if (status != MORTISE_NOT_FOUND || agent->options.config_path)
		return status;
	agent->has_no_config = true;
	return config_parse(path, "", 0, out_config, out_error);
}

static enum mortise_status load_configuration(struct agent *agent, struct config *out_config)
{
	struct config_error error = {""};
	const char *path = agent->config_path;
	enum mortise_status status = load_or_default(agent, out_config, &error);

	if (status == MORTISE_REJECTED)
		log_error("%s", error.text);
	else if (status != MORTISE_OK)
		log_error("%s: %s", path,
			status == MORTISE_NOT_FOUND ? "no such file" : strerror(errno));
	return status;
}

static char *below_here(const char *path)
{
	char here[PATH_MAX], *absolute = NULL;

	if (!getcwd(here, sizeof here) || asprintf(&absolute, "%s/%s", here, path) < 0)
		return NULL;
	return absolute;
}

/* Then in /, so as to keep no file system busy; FILE may be relative to where we were. */
static enum mortise_status find_configuration(struct agent *agent)
{
	const char *path = agent->options.config_path;

	if (!path)
		agent->config_path = strdup(CONFIG_DEFAULT_PATH);
	else if (*path == '/')
		agent->config_path = strdup(path);
	else
		agent->config_path = below_here(path);
	if (!agent->config_path) {
		log_error("the configuration's path: %s", strerror(errno));
		return MORTISE_IO;
	}
	if (chdir("/") == 0)
		return MORTISE_OK;
	log_error("/: %s", strerror(errno));
	return MORTISE_IO;
}

/* UINT32_MAX: none. */
static enum mortise_status find_operators(
	const char *group, uint32_t *out_gid, struct refusal *out_refusal)
{
	gid_t gid = (gid_t)-1;

	switch (!group ? MORTISE_OK : names_find_group(group, &gid)) {
	case MORTISE_OK:
		*out_gid = gid;
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

	if (socket->group) {
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

/* What the service manager passes counts, and the configuration names another place. */
static void warn_of_others(
	const struct agent *agent, const struct listen_wanted *wanted, size_t count)
{
	const struct config *config = &agent->config;

	for (size_t i = 0; i < count; i++) {
		bool is_named = wanted[i].is_only_passed ? false
				: i == 0 ? strcmp(config->socket, SOCKET_DEFAULT_PATH) != 0
					 : true;

		if (is_named && listen_is_elsewhere(&agent->listeners.listeners[i], wanted[i].path))
			log_warning("nobody is listened to at %s: the service manager passed the "
				    "socket '%s', made elsewhere; give its .socket unit that path, "
				    "or disable it",
				wanted[i].path, wanted[i].name);
	}
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
	if (status == MORTISE_OK)
		warn_of_others(agent, wanted, count);
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
	TRY(find_operators(agent->config.operators, &agent->settings.operators_gid, out_refusal));
	TRY(open_store(agent, out_refusal));
	TRY(check_directory_of(agent, agent->config.audit_log, DIRECTORY_AUDIT, out_refusal));
	return open_listeners(agent, out_refusal);
}

static enum mortise_status keep_variable(const char *name, char **out_value)
{
	const char *value = getenv(name);

	if (!value)
		return MORTISE_OK;
	*out_value = strdup(value);
	return *out_value ? MORTISE_OK : MORTISE_IO;
}

static enum mortise_status clean(struct agent *agent)
{
	size_t passed = listen_set_passed();

	if (agent->options.ready_fd >= 0 && agent->options.ready_fd < LISTEN_FIRST_FD + (int)passed)
		mortised_misuse("--ready-fd: is a passed socket");
	TRY(keep_variable("NOTIFY_SOCKET", &agent->notify_socket));
	TRY(keep_variable("RUNTIME_DIRECTORY", &agent->runtime_directory));
	agent->has_watchdog = getenv("WATCHDOG_USEC") != NULL;
	TRY(startup_clean(passed, agent->options.ready_fd));
	return startup_set_limits();
}

/* A file that is wrong changes nothing. */
static enum mortise_status reload(void *context)
{
	CLEANUP(config_done) struct config fresh = {0};
	struct agent *agent = context;
	struct refusal refusal = {""};
	char later[CONFIG_LATER_SIZE];
	uint32_t operators_gid = 0;
	enum mortise_status status = load_configuration(agent, &fresh);

	if (status == MORTISE_OK)
		status = find_operators(fresh.operators, &operators_gid, &refusal);
	if (status != MORTISE_OK) {
		log_error("%s%snothing changed", refusal.text, refusal.text[0] ? "; " : "");
		return status;
	}
	config_take_over(&agent->config, &fresh, later);
	agent->settings.operators_gid = operators_gid;
	log_info("the configuration was read again");
	if (later[0] != '\0')
		log_warning("changed, but as it was until a restart: %s", later);
	return MORTISE_OK;
}

/* A user that was made for the agent is nobody's own: then the first admin is whoever started it.
 */
static uid_t find_first(const struct agent *agent)
{
	if (agent->config.user)
		return 0;
	return listen_made_by(&agent->listeners.listeners[0]);
}

static int monitor(struct agent *agent)
{
	const struct config *config = &agent->config;
	const struct listener *opened = agent->listeners.listeners;
	size_t count = 1 + config->socket_count;
	struct monitor_listener listeners[PROCESS_LISTENERS_MAX] = {
		{.name = "main", .verbs = verbs_all(), .fd = opened[0].fd}};

	agent->settings = (struct monitor_settings){
		.config = &agent->config,
		.identity = &agent->identity,
		.first_uid = find_first(agent),
		.operators_gid = agent->settings.operators_gid,
		.keeper_program = "/proc/self/exe",
		.sealer_program = agent->options.sealer_path,
		.listeners = listeners,
		.listener_count = count + (opened[count].fd >= 0),
		.ready_fd = agent->options.ready_fd,
		.notify_socket = agent->notify_socket,
		.runtime_directory = agent->runtime_directory,
		.has_watchdog = agent->has_watchdog,
		.reload = reload,
		.context = agent,
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
	return monitor_run(&agent->settings);
}

/* What to do about it depends on which user the agent is to have, and that no default knows. */
static void complain(const struct agent *agent, const struct refusal *refusal)
{
	const char *advice = strstr(refusal->text, "; ");

	if (!agent->has_no_config)
		log_error("%s", refusal->text);
	else
		log_error(
			"there is no %s, so the defaults count, and uid %u: %.*s; write that file, "
			"or name the one that is meant: mortised -c FILE",
			agent->config_path, agent->identity.uid,
			(int)(advice ? (size_t)(advice - refusal->text) : strlen(refusal->text)),
			refusal->text);
}

/* By its mode and owner; a device of the right kind it need not be. */
static bool may_use(const struct identity *identity, const struct stat *device)
{
	bool is_member = device->st_gid == identity->gid;

	for (size_t i = 0; i < identity->group_count; i++)
		is_member |= identity->groups[i] == device->st_gid;
	unsigned bits = device->st_uid == identity->uid ? 0600 : is_member ? 0060 : 0006;
	return identity->uid == 0 || (device->st_mode & bits) == bits;
}

/* A host may do without a TPM: it is a warning, and says what an init needs then. */
static void check_device(const struct agent *agent)
{
	static const char device[] = "device:";
	const struct config *config = &agent->config;
	const char *path = config->tcti + sizeof device - 1;
	struct stat found;

	if (strncmp(config->tcti, device, sizeof device - 1) != 0 || config->pkcs11_modules)
		return;
	if (stat(path, &found) != 0)
		log_warning(
			"there is no TPM at %s (%s); check the firmware's setup and [tpm2] tcti, "
			"or without one: mortise init --no-hardware",
			path, strerror(errno));
	else if (!may_use(&agent->identity, &found))
		log_warning("uid %u may not use the TPM at %s; put the agent's user into its group "
			    "(tss), then restart mortised",
			agent->identity.uid, path);
}

static int report_check(const struct agent *agent)
{
	check_device(agent);
	int printed = agent->has_no_config
			      ? printf("there is no %s to check; mortised would start with the "
				       "defaults, as uid %u\n",
					agent->config_path, agent->identity.uid)
			      : puts("configuration is good");

	return printed >= 0 && fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int run(struct agent *agent)
{
	struct refusal refusal = {""};
	enum mortise_status status = find_configuration(agent);

	if (status == MORTISE_OK)
		status = load_configuration(agent, &agent->config);
	if (status != MORTISE_OK)
		return exit_status_of(status);
	status = prepare(agent, &refusal);
	if (status != MORTISE_OK) {
		complain(agent, &refusal);
		return exit_status_of(status);
	}
	return agent->options.check_only ? report_check(agent) : monitor(agent);
}

static void drop_agent(struct agent *agent)
{
	listen_set_close(&agent->listeners);
	close_drop(&agent->lock_fd);
	config_done(&agent->config);
	free(agent->notify_socket);
	free(agent->runtime_directory);
	free(agent->config_path);
}

int main(int argc, char **argv)
{
	struct agent agent = {.lock_fd = -1};
	int exit_status;

	if (argc == 2 && strcmp(argv[1], "--keeper") == 0)
		return keeper_main();
	if (argc == 2 && strcmp(argv[1], "--witness") == 0)
		return witness_main();
	log_open("mortised");
	agent.options = mortised_options_read(argc, argv);
	if (clean(&agent) != MORTISE_OK) {
		log_error("cannot start: %s", strerror(errno));
		return EX_OSERR;
	}
	exit_status = run(&agent);
	drop_agent(&agent);
	return exit_status;
}
