/* SPDX-License-Identifier: ISC */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config_setting.h"
#include "path.h"

#define FILE_SIZE_MAX   1048576
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define OTHER_PATH_MAX  1023 /* leaves room in PATH_MAX for what is kept below */
#define NAME_MAX_BYTES  255

enum mortise_status config_refuse_value(const struct setting *setting, const char *expected)
{
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->value_column,
		"expected %s, not '%.80s'", expected, setting->entry->value);
}

enum mortise_status config_store_text(char **text, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return MORTISE_BUSY;
	free(*text);
	*text = copy;
	return MORTISE_OK;
}

bool config_is_absolute(const char *path)
{
	if (*path != '/')
		return false;
	while (*path == '/') {
		size_t size = strcspn(++path, "/");

		if (size == 0 || (size == 1 && path[0] == '.') ||
			(size == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += size;
	}
	return true;
}

static enum mortise_status read_path(
	const struct setting *setting, size_t size_max, char **out_path)
{
	const char *value = setting->entry->value;

	if (!config_is_absolute(value))
		return config_refuse_value(
			setting, "an absolute path without '//', '/./', '/../' or a last '/'");
	if (strlen(value) > size_max)
		return inifile_refuse(setting->error, setting->entry->line,
			setting->entry->value_column, "a path here is at most %zu bytes", size_max);
	return config_store_text(out_path, value);
}

enum mortise_status config_read_socket_path(const struct setting *setting, char **out_path)
{
	return read_path(setting, SOCKET_PATH_MAX, out_path);
}

enum mortise_status config_read_file_path(const struct setting *setting, char **out_path)
{
	return read_path(setting, OTHER_PATH_MAX, out_path);
}

static enum mortise_status read_socket(const struct setting *setting)
{
	return config_read_socket_path(setting, &setting->config->socket);
}

static enum mortise_status read_store(const struct setting *setting)
{
	return read_path(setting, OTHER_PATH_MAX, &setting->config->store);
}

static enum mortise_status read_audit_log(const struct setting *setting)
{
	return read_path(setting, OTHER_PATH_MAX, &setting->config->audit_log);
}

enum mortise_status config_read_account(const struct setting *setting, char **out_name)
{
	const char *value = setting->entry->value;
	size_t size = strcspn(value, " \t,:/");

	if (size == 0 || size > NAME_MAX_BYTES || value[size] != '\0')
		return config_refuse_value(setting, "one name");
	return config_store_text(out_name, value);
}

static enum mortise_status read_user(const struct setting *setting)
{
	return config_read_account(setting, &setting->config->user);
}

static enum mortise_status read_operators(const struct setting *setting)
{
	return config_read_account(setting, &setting->config->operators);
}

static enum mortise_status read_environment(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (!path_is_valid(value, strlen(value)) || strchr(value, '/') != NULL)
		return config_refuse_value(
			setting, "the first segment of a secret's path, such as prod");
	return config_store_text(&setting->config->environment, value);
}

static enum mortise_status read_audit_sync(const struct setting *setting)
{
	bool is_always = strcmp(setting->entry->value, "always") == 0;

	if (!is_always && strcmp(setting->entry->value, "checkpoint") != 0)
		return config_refuse_value(setting, "checkpoint or always");
	setting->config->audit_sync_always = is_always;
	return MORTISE_OK;
}

static enum mortise_status read_switch(const struct setting *setting, bool *out_switch)
{
	bool is_on = strcmp(setting->entry->value, "yes") == 0;

	if (!is_on && strcmp(setting->entry->value, "no") != 0)
		return config_refuse_value(setting, "yes or no");
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

static const char agent_keys[] =
	"socket, store, audit-log, user, operators, environment, audit-sync, require-pidfd or "
	"exe-evidence";
static const char tpm2_keys[] = "tcti, deadline or pcr-signature";

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
	{"tpm2", "tcti", config_read_tcti},
	{"tpm2", "deadline", config_read_deadline},
	{"tpm2", "anchor-window", config_read_anchor_window},
	{"tpm2", "pcr-signature", config_read_pcr_signature},
};

static enum mortise_status check_section(const struct setting *setting)
{
	const struct inifile_entry *entry = setting->entry;
	struct inifile_error *error = setting->error;
	bool is_known =
		strcmp(entry->section, "agent") == 0 || strcmp(entry->section, "tpm2") == 0 ||
		strcmp(entry->section, "pkcs11") == 0 || strcmp(entry->section, "credentials") == 0;

	if (strcmp(entry->section, "socket") == 0)
		return config_socket_begin(setting);
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
		return config_socket_read(&setting);
	if (strcmp(entry->section, "pkcs11") == 0)
		return config_pkcs11_read(&setting);
	if (strcmp(entry->section, "credentials") == 0)
		return config_credentials_read(&setting);
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
	TRY(config_credentials_fill(config));
	if (config->socket == NULL)
		TRY(config_store_text(&config->socket, "/run/mortise/mortise.sock"));
	if (config->store == NULL)
		TRY(config_store_text(&config->store, "/var/lib/mortise"));
	if (config->audit_log == NULL)
		TRY(config_store_text(&config->audit_log, "/var/log/mortise/audit.log"));
	if (config->tcti == NULL)
		TRY(config_store_text(&config->tcti, "device:/dev/tpmrm0"));
	if (config->hardware_deadline_ms == 0)
		config->hardware_deadline_ms = 30000;
	if (config->anchor_window_s == 0)
		config->anchor_window_s = 60;
	return MORTISE_OK;
}

enum mortise_status config_parse(const char *name, const char *text, size_t size,
	struct config *out_config, struct config_error *out_error)
{
	CLEANUP(config_done) struct config config = {0};
	struct inifile_error error = {0};
	enum mortise_status status = inifile_read(text, size, visit, &config, &error);

	if (status == MORTISE_OK)
		status = fill_defaults(&config);
	if (status == MORTISE_OK)
		status = config_sockets_check(&config, &error);
	if (status == MORTISE_REJECTED)
		inifile_describe(name, &error, out_error->text, sizeof out_error->text);
	TRY(status);
	*out_config = config;
	config = (struct config){0};
	return MORTISE_OK;
}

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
	config_sockets_done(config);
	*config = (struct config){0};
}
