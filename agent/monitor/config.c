/* SPDX-License-Identifier: ISC */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_value.h"
#include "path.h"
#include "processes.h"
#include "verbs.h"

#define DELETED_KEEP_D 30

/* ---- [agent] ---- */

#define DAYS_MAX 3650

static enum mortise_status read_deleted_keep(const struct setting *setting)
{
	const char *value = setting->entry->value;
	size_t size = strspn(value, "0123456789");
	unsigned days = 0;

	if (strcmp(value, "forever") == 0) {
		setting->config->deleted_keep_days = 0;
		return MORTISE_OK;
	}
	for (size_t i = 0; i < size && size <= 4; i++)
		days = 10 * days + (unsigned)(value[i] - '0');
	if (strcmp(value + size, "d") != 0 || days < 1 || days > DAYS_MAX)
		return config_value_refuse(setting, "days as in 30d, at most 3650d, or forever");
	setting->config->deleted_keep_days = days;
	return MORTISE_OK;
}

static enum mortise_status read_socket(const struct setting *setting)
{
	return config_value_socket_path(setting, &setting->config->socket);
}

static enum mortise_status read_store(const struct setting *setting)
{
	return config_value_file_path(setting, &setting->config->store);
}

static enum mortise_status read_audit_log(const struct setting *setting)
{
	return config_value_file_path(setting, &setting->config->audit_log);
}

static enum mortise_status read_user(const struct setting *setting)
{
	return config_value_account(setting, &setting->config->user);
}

static enum mortise_status read_operators(const struct setting *setting)
{
	return config_value_account(setting, &setting->config->operators);
}

static enum mortise_status read_environment(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (!path_is_valid(value, strlen(value)) || strchr(value, '/') != NULL)
		return config_value_refuse(
			setting, "the first segment of a secret's path, such as prod");
	return config_value_store(&setting->config->environment, value);
}

static enum mortise_status read_audit_sync(const struct setting *setting)
{
	bool is_always = strcmp(setting->entry->value, "always") == 0;

	if (!is_always && strcmp(setting->entry->value, "checkpoint") != 0)
		return config_value_refuse(setting, "checkpoint or always");
	setting->config->audit_sync_always = is_always;
	return MORTISE_OK;
}

static enum mortise_status read_switch(const struct setting *setting, bool *out_switch)
{
	bool is_on = strcmp(setting->entry->value, "yes") == 0;

	if (!is_on && strcmp(setting->entry->value, "no") != 0)
		return config_value_refuse(setting, "yes or no");
	*out_switch = is_on;
	return MORTISE_OK;
}

static enum mortise_status read_require_pidfd(const struct setting *setting)
{
	return read_switch(setting, &setting->config->requires_pidfd);
}

static enum mortise_status read_exe_evidence(const struct setting *setting)
{
	return read_switch(setting, &setting->config->has_exe_evidence);
}

static enum mortise_status read_insecure_memory(const struct setting *setting)
{
	return read_switch(setting, &setting->config->has_insecure_memory);
}

/* ---- [tpm2] ---- */

#define TCTI_MAX       1023
#define DEADLINE_MAX_S 600
#define WINDOW_MAX_S   86400

/* A session's bus is none of the agent's: its sealers have no environment to find it by. */
static bool is_bus(const char *words)
{
	static const char name[] = "bus_name=", system_bus[] = "bus_type=system";
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	while (*words != '\0') {
		size_t size = strcspn(words, ",");

		if (strncmp(words, name, sizeof name - 1) == 0
				? size == sizeof name - 1 ||
					  strspn(words + sizeof name - 1, letters) !=
						  size - (sizeof name - 1)
				: size != sizeof system_bus - 1 ||
					  strncmp(words, system_bus, size) != 0)
			return false;
		words += size;
		words += *words == ',';
	}
	return true;
}

/*
 * As tpm2-tools write it, but for what would load any library, or reach a TPM over a network. A
 * comma would begin another key of swtpm's: a host, a port.
 */
static bool is_tcti(const char *value)
{
	static const char device[] = "device:", swtpm[] = "swtpm:path=", tabrmd[] = "tabrmd:";

	if (strncmp(value, device, sizeof device - 1) == 0)
		return config_value_is_absolute(value + sizeof device - 1);
	if (strncmp(value, swtpm, sizeof swtpm - 1) == 0)
		return strchr(value, ',') == NULL &&
		       config_value_is_absolute(value + sizeof swtpm - 1);
	if (strncmp(value, tabrmd, sizeof tabrmd - 1) == 0)
		return is_bus(value + sizeof tabrmd - 1);
	return strcmp(value, "tabrmd") == 0;
}

static enum mortise_status read_tcti(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (strlen(value) > TCTI_MAX)
		return config_value_refuse_long(setting, TCTI_MAX);
	if (!is_tcti(value))
		return config_value_refuse(setting,
			"device:/dev/tpmrm0, tabrmd, tabrmd:bus_name=NAME or "
			"swtpm:path=/absolute/path");
	return config_value_store(&setting->config->tcti, value);
}

static enum mortise_status read_pcr_signature(const struct setting *setting)
{
	return config_value_file_path(setting, &setting->config->pcr_signature);
}

static enum mortise_status read_seconds(
	const struct setting *setting, int most, const char *expected, int *out_seconds)
{
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	int seconds = 0;

	if (size <= 5 && strspn(value, "0123456789") == size)
		for (size_t i = 0; i < size; i++)
			seconds = 10 * seconds + (value[i] - '0');
	if (seconds < 1 || seconds > most)
		return config_value_refuse(setting, expected);
	*out_seconds = seconds;
	return MORTISE_OK;
}

static enum mortise_status read_deadline(const struct setting *setting)
{
	int seconds = 0;

	TRY(read_seconds(setting, DEADLINE_MAX_S, "seconds from 1 to 600", &seconds));
	setting->config->hardware_deadline_ms = 1000 * seconds;
	return MORTISE_OK;
}

static enum mortise_status read_anchor_window(const struct setting *setting)
{
	return read_seconds(setting, WINDOW_MAX_S, "seconds from 1 to 86400",
		&setting->config->anchor_window_s);
}

/* ---- [pkcs11] ---- */

#define MODULES_MAX 8
#define WORDS_MAX   32
#define WORD_SIZE   1024
#define BLANKS      " \t"

typedef bool word_check(const char *word);

/* Blank-separated words that pass the check, at most max; kept with one blank between them. */
static enum mortise_status read_words(const struct setting *setting, size_t max, word_check *check,
	const char *expected, char **out_words)
{
	char kept[INIFILE_LINE_MAX + 1] = "", word[WORD_SIZE];
	const char *at = setting->entry->value;
	size_t count = 0, used = 0;

	while (*(at += strspn(at, BLANKS)) != '\0') {
		size_t size = strcspn(at, BLANKS);

		if (size >= sizeof word || ++count > max || used + size + 1 >= sizeof kept)
			return config_value_refuse(setting, expected);
		memcpy(word, at, size);
		word[size] = '\0';
		if (!check(word))
			return config_value_refuse(setting, expected);
		if (used > 0)
			kept[used++] = ' ';
		memcpy(kept + used, word, size);
		used += size;
		at += size;
	}
	if (count == 0)
		return config_value_refuse(setting, expected);
	kept[used] = '\0';
	return config_value_store(out_words, kept);
}

static bool is_assignment(const char *word)
{
	static const char letters[] =
		"_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t size = strspn(word, letters);

	return size > 0 && strspn(word, "0123456789") == 0 && word[size] == '=';
}

static enum mortise_status read_pkcs11(const struct setting *setting)
{
	struct config *config = setting->config;
	const char *key = setting->entry->key;

	if (strcmp(key, "modules") == 0)
		return read_words(setting, MODULES_MAX, config_value_is_absolute,
			"absolute paths of PKCS #11 modules, at most 8, each of at most 1023 "
			"bytes, "
			"separated by blanks",
			&config->pkcs11_modules);
	if (strcmp(key, "env") == 0)
		return read_words(setting, WORDS_MAX, is_assignment,
			"NAME=VALUE words, at most 32, each of at most 1023 bytes, separated by "
			"blanks",
			&config->pkcs11_env);
	if (strcmp(key, "pin-file") == 0)
		return config_value_file_path(setting, &config->pkcs11_pin_file);
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->column,
		"unknown key '%.80s' in [pkcs11]; expected modules, env or pin-file", key);
}

/* ---- [credentials] ---- */

#define DEFAULT_PATH    "/run/mortise/credentials.sock"
#define DEFAULT_MODE    0600
#define DEFAULT_WAIT_MS 60000 /* systemd itself gives a unit 90 s to start */
#define WAIT_MAX_S      600

/* 0: units fail at once while it is sealed. */
static enum mortise_status read_wait(
	const struct setting *setting, struct config_credentials *credentials)
{
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	int seconds = 0;

	if (size == 0 || size > 3 || strspn(value, "0123456789") != size)
		return config_value_refuse(setting, "seconds from 0 to 600");
	for (size_t i = 0; i < size; i++)
		seconds = 10 * seconds + (value[i] - '0');
	if (seconds > WAIT_MAX_S)
		return config_value_refuse(setting, "seconds from 0 to 600");
	credentials->wait_ms = 1000 * seconds;
	credentials->has_wait = true;
	return MORTISE_OK;
}

static enum mortise_status read_credentials(const struct setting *setting)
{
	struct config_credentials *credentials = &setting->config->credentials;
	const char *key = setting->entry->key;

	if (strcmp(key, "path") == 0)
		return config_value_socket_path(setting, &credentials->path);
	if (strcmp(key, "mode") == 0)
		return config_value_mode(setting, &credentials->mode);
	if (strcmp(key, "wait") == 0)
		return read_wait(setting, credentials);
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->column,
		"unknown key '%.80s' in [credentials]; expected path, mode or wait", key);
}

static enum mortise_status fill_credentials(struct config *config)
{
	struct config_credentials *credentials = &config->credentials;

	if (credentials->path == NULL)
		TRY(config_value_store(&credentials->path, DEFAULT_PATH));
	if (credentials->mode == 0)
		credentials->mode = DEFAULT_MODE;
	if (!credentials->has_wait)
		credentials->wait_ms = DEFAULT_WAIT_MS;
	return MORTISE_OK;
}

/* ---- [socket NAME] ---- */

#define MAIN_NAME        "main"
#define CREDENTIALS_NAME "credentials"

static bool is_name(const char *name)
{
	static const char letters[] = "._-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";
	size_t size = strlen(name);

	return size > 0 && size <= PROCESS_NAME_MAX && strspn(name, letters) == size &&
	       strspn(name, "._-") == 0;
}

static enum mortise_status begin_socket(const struct setting *setting)
{
	const struct inifile_entry *entry = setting->entry;
	struct config *config = setting->config;

	if (!is_name(entry->title) || strcmp(entry->title, MAIN_NAME) == 0 ||
		strcmp(entry->title, CREDENTIALS_NAME) == 0)
		return inifile_refuse(setting->error, entry->line, entry->column,
			"expected [socket NAME], a NAME of 1 to %d letters, digits and . _ - other "
			"than main, which is [agent]'s own, and credentials, which is a section",
			PROCESS_NAME_MAX);
	if (config->socket_count == CONFIG_SOCKETS_MAX)
		return inifile_refuse(setting->error, entry->line, entry->column,
			"at most %d sections [socket NAME]", CONFIG_SOCKETS_MAX);
	struct config_socket *socket = &config->sockets[config->socket_count];
	*socket = (struct config_socket){.line = entry->line};
	TRY(config_value_store(&socket->name, entry->title));
	config->socket_count++;
	return MORTISE_OK;
}

static enum mortise_status read_verbs(const struct setting *setting, struct config_socket *socket)
{
	const char *at = setting->entry->value;
	unsigned bits = 0;

	while (*(at += strspn(at, " \t")) != '\0') {
		size_t size = strcspn(at, " \t");
		unsigned bit = verb_of_word(at, size);
		char words[VERB_WORDS_SIZE], expected[VERB_WORDS_SIZE + 32];

		if (bit == 0 || (bits & bit) != 0) {
			snprintf(expected, sizeof expected, "verbs, each once: %s",
				verb_words(verbs_all(), "and", words));
			return config_value_refuse(setting, expected);
		}
		bits |= bit;
		at += size;
	}
	if (bits == 0)
		return config_value_refuse(setting, "one verb at least, such as read");
	socket->verbs = bits;
	return MORTISE_OK;
}

static enum mortise_status read_listener(const struct setting *setting)
{
	struct config *config = setting->config;
	struct config_socket *socket = &config->sockets[config->socket_count - 1];
	const char *key = setting->entry->key;

	if (strcmp(key, "path") == 0)
		return config_value_socket_path(setting, &socket->path);
	if (strcmp(key, "mode") == 0)
		return config_value_mode(setting, &socket->mode);
	if (strcmp(key, "group") == 0)
		return config_value_account(setting, &socket->group);
	if (strcmp(key, "verbs") == 0)
		return read_verbs(setting, socket);
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->column,
		"unknown key '%.80s' in [socket]; expected path, mode, group or verbs", key);
}

static bool is_taken(const struct config *config, size_t index)
{
	const char *path = config->sockets[index].path;

	if (strcmp(path, config->socket) == 0 || strcmp(path, config->credentials.path) == 0)
		return true;
	for (size_t i = 0; i < index; i++)
		if (strcmp(path, config->sockets[i].path) == 0)
			return true;
	return false;
}

static enum mortise_status check_sockets(
	const struct config *config, struct inifile_error *out_error)
{
	for (size_t i = 0; i < config->socket_count; i++) {
		const struct config_socket *socket = &config->sockets[i];

		if (socket->path == NULL || socket->verbs == 0)
			return inifile_refuse(out_error, socket->line, 1, "[socket %s] needs %s",
				socket->name,
				socket->path == NULL ? "path"
						     : "verbs, such as: verbs = read list");
		if (is_taken(config, i))
			return inifile_refuse(out_error, socket->line, 1,
				"[socket %s]: another socket has this path already", socket->name);
	}
	if (strcmp(config->socket, config->credentials.path) == 0)
		return inifile_refuse(
			out_error, 0, 0, "[credentials]: path is that of [agent]'s socket");
	return MORTISE_OK;
}

static void sockets_done(struct config *config)
{
	for (size_t i = 0; i < config->socket_count; i++) {
		free(config->sockets[i].name);
		free(config->sockets[i].path);
		free(config->sockets[i].group);
	}
}

/* ---- all of them ---- */

static const char agent_keys[] =
	"socket, store, audit-log, user, operators, environment, audit-sync, require-pidfd, "
	"exe-evidence, insecure-memory or deleted-keep";
static const char tpm2_keys[] = "tcti, deadline, anchor-window or pcr-signature";

static const struct {
	const char *section, *key;
	enum mortise_status (*read)(const struct setting *setting);
} settings[] = {
	{"agent", "socket", read_socket},
	{"agent", "store", read_store},
	{"agent", "audit-log", read_audit_log},
	{"agent", "user", read_user},
	{"agent", "operators", read_operators},
	{"agent", "environment", read_environment},
	{"agent", "audit-sync", read_audit_sync},
	{"agent", "require-pidfd", read_require_pidfd},
	{"agent", "exe-evidence", read_exe_evidence},
	{"agent", "insecure-memory", read_insecure_memory},
	{"agent", "deleted-keep", read_deleted_keep},
	{"tpm2", "tcti", read_tcti},
	{"tpm2", "deadline", read_deadline},
	{"tpm2", "anchor-window", read_anchor_window},
	{"tpm2", "pcr-signature", read_pcr_signature},
};

static enum mortise_status check_section(const struct setting *setting)
{
	const struct inifile_entry *entry = setting->entry;
	struct inifile_error *error = setting->error;
	bool is_known =
		strcmp(entry->section, "agent") == 0 || strcmp(entry->section, "tpm2") == 0 ||
		strcmp(entry->section, "pkcs11") == 0 || strcmp(entry->section, "credentials") == 0;

	if (strcmp(entry->section, "socket") == 0)
		return begin_socket(setting);
	if (!is_known || *entry->title != '\0')
		return inifile_refuse(error, entry->line, entry->column,
			"unknown section '%.60s%s%.60s'; expected [agent], [tpm2], [pkcs11], "
			"[credentials] or [socket NAME]",
			entry->section, *entry->title != '\0' ? " " : "", entry->title);
	if (strcmp(entry->section, "credentials") == 0)
		setting->config->credentials.is_wanted = true;
	return MORTISE_OK;
}

static enum mortise_status visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct setting setting = {entry, error, context};

	if (entry->key == NULL)
		return check_section(&setting);
	if (strcmp(entry->section, "socket") == 0)
		return read_listener(&setting);
	if (strcmp(entry->section, "pkcs11") == 0)
		return read_pkcs11(&setting);
	if (strcmp(entry->section, "credentials") == 0)
		return read_credentials(&setting);
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if (strcmp(entry->section, settings[i].section) == 0 &&
			strcmp(entry->key, settings[i].key) == 0)
			return settings[i].read(&setting);
	return inifile_refuse(error, entry->line, entry->column,
		"unknown key '%.80s' in [%s]; expected %s", entry->key, entry->section,
		strcmp(entry->section, "agent") == 0 ? agent_keys : tpm2_keys);
}

static enum mortise_status fill_defaults(struct config *config)
{
	TRY(fill_credentials(config));
	if (config->socket == NULL)
		TRY(config_value_store(&config->socket, "/run/mortise/mortise.sock"));
	if (config->store == NULL)
		TRY(config_value_store(&config->store, "/var/lib/mortise"));
	if (config->audit_log == NULL)
		TRY(config_value_store(&config->audit_log, "/var/log/mortise/audit.log"));
	if (config->tcti == NULL)
		TRY(config_value_store(&config->tcti, "device:/dev/tpmrm0"));
	if (config->hardware_deadline_ms == 0)
		config->hardware_deadline_ms = 30000;
	if (config->anchor_window_s == 0)
		config->anchor_window_s = 60;
	return MORTISE_OK;
}

/* So that an agent which guards anything cannot have it, by a slip or a copied file. */
static enum mortise_status check_memory(
	const struct config *config, struct inifile_error *out_error)
{
	if (!config->has_insecure_memory || strncmp(config->tcti, "swtpm:", 6) == 0)
		return MORTISE_OK;
	return inifile_refuse(out_error, 0, 0,
		"insecure-memory = yes is for throw-away agents, with tcti = swtpm:path=... in "
		"[tpm2]; else raise RLIMIT_MEMLOCK");
}

enum mortise_status config_parse(const char *name, const char *text, size_t size,
	struct config *out_config, struct config_error *out_error)
{
	CLEANUP(config_done) struct config config = {.deleted_keep_days = DELETED_KEEP_D};
	struct inifile_error error = {0};
	enum mortise_status status = inifile_read(text, size, visit, &config, &error);

	if (status == MORTISE_OK)
		status = fill_defaults(&config);
	if (status == MORTISE_OK)
		status = check_sockets(&config, &error);
	if (status == MORTISE_OK)
		status = check_memory(&config, &error);
	if (status == MORTISE_REJECTED)
		inifile_describe(name, &error, out_error->text, sizeof out_error->text);
	TRY(status);
	*out_config = config;
	config = (struct config){0};
	return MORTISE_OK;
}

void config_done(struct config *config)
{
	free(config->credentials.path);
	free(config->socket);
	free(config->store);
	free(config->audit_log);
	free(config->user);
	free(config->operators);
	free(config->environment);
	free(config->tcti);
	free(config->pkcs11_modules);
	free(config->pkcs11_env);
	free(config->pkcs11_pin_file);
	free(config->pcr_signature);
	sockets_done(config);
	*config = (struct config){0};
}

/* ---- the file: who may write it, and its text ---- */

#define FILE_SIZE_MAX 1048576

static enum mortise_status refuse_file(
	const char *path, const char *fault, struct config_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, 0, 0, "%s", fault);

	inifile_describe(path, &error, out_error->text, sizeof out_error->text);
	return status;
}

/* Whoever may write this file chooses the store, the socket and the hardware. */
static enum mortise_status check_file(int fd, const char *path, struct config_error *out_error)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return MORTISE_IO;
	if (!S_ISREG(info.st_mode))
		return refuse_file(path, "expected a regular file", out_error);
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return refuse_file(path,
			"expected root or the agent's own user as the file's owner; run: chown "
			"root",
			out_error);
	if (info.st_mode & (S_IWGRP | S_IWOTH))
		return refuse_file(path,
			"others than the owner may write this file; run: chmod go-w", out_error);
	return MORTISE_OK;
}

/* Up to size bytes, fewer only at the end of the file. */
static enum mortise_status read_all(int fd, char *buffer, size_t size, size_t *out_size)
{
	size_t filled = 0;

	while (filled < size) {
		ssize_t got = read(fd, buffer + filled, size - filled);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return MORTISE_IO;
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	*out_size = filled;
	return MORTISE_OK;
}

static void close_file(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static void free_text(char **text)
{
	free(*text);
}

enum mortise_status config_load(
	const char *path, struct config *out_config, struct config_error *out_error)
{
	CLEANUP(close_file) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	CLEANUP(free_text) char *text = NULL;
	size_t size;

	if (fd < 0)
		return errno == ENOENT ? MORTISE_NOT_FOUND : MORTISE_IO;
	TRY(check_file(fd, path, out_error));
	text = malloc(FILE_SIZE_MAX + 1);
	if (text == NULL)
		return MORTISE_BUSY;
	TRY(read_all(fd, text, FILE_SIZE_MAX + 1, &size));
	if (size > FILE_SIZE_MAX)
		return refuse_file(path, "a configuration is at most 1 MiB", out_error);
	return config_parse(path, text, size, out_config, out_error);
}
