/* SPDX-License-Identifier: ISC */
/* The sections [socket NAME] of mortised.conf. */
#include <stdlib.h>
#include <string.h>

#include "config_setting.h"
#include "processes.h"

#define MAIN_NAME        "main"
#define CREDENTIALS_NAME "credentials"
#define MODE_MAX         0666u

/* Bits of enum verb, which the monitor does not see; tests/test_config_socket compares them. */
static const struct {
	const char *name;
	unsigned bit;
} verbs[] = {
	{"read", 1},
	{"list", 2},
	{"write", 4},
	{"delete", 8},
	{"rotate", 16},
	{"audit", 32},
	{"admin", 64},
};

static bool is_name(const char *name)
{
	static const char letters[] = "._-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";
	size_t size = strlen(name);

	return size > 0 && size <= PROCESS_NAME_MAX && strspn(name, letters) == size &&
	       strspn(name, "._-") == 0;
}

enum mortise_status config_socket_begin(const struct setting *setting)
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
	TRY(config_store_text(&socket->name, entry->title));
	config->socket_count++;
	return MORTISE_OK;
}

/* Three octal digits, perhaps a 0 before them; nobody executes a socket. */
enum mortise_status config_read_mode(const struct setting *setting, unsigned *out_mode)
{
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	unsigned mode = 0;

	if ((size == 3 || (size == 4 && value[0] == '0')) && strspn(value, "01234567") == size)
		for (size_t i = 0; i < size; i++)
			mode = 8 * mode + (unsigned)(value[i] - '0');
	if (mode == 0 || (mode & ~MODE_MAX) != 0)
		return config_refuse_value(setting, "a mode from 0600 to 0666, such as 0660");
	*out_mode = mode;
	return MORTISE_OK;
}

static unsigned bit_of(const char *word, size_t size)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strlen(verbs[i].name) == size && memcmp(verbs[i].name, word, size) == 0)
			return verbs[i].bit;
	return 0;
}

static enum mortise_status read_verbs(const struct setting *setting, struct config_socket *socket)
{
	const char *at = setting->entry->value;
	unsigned bits = 0;

	while (*(at += strspn(at, " \t")) != '\0') {
		size_t size = strcspn(at, " \t");
		unsigned bit = bit_of(at, size);

		if (bit == 0 || (bits & bit) != 0)
			return config_refuse_value(setting, "verbs, each once: read, list, write, "
							    "delete, rotate, audit, admin");
		bits |= bit;
		at += size;
	}
	if (bits == 0)
		return config_refuse_value(setting, "one verb at least, such as read");
	socket->verbs = bits;
	return MORTISE_OK;
}

enum mortise_status config_socket_read(const struct setting *setting)
{
	struct config *config = setting->config;
	struct config_socket *socket = &config->sockets[config->socket_count - 1];
	const char *key = setting->entry->key;

	if (strcmp(key, "path") == 0)
		return config_read_socket_path(setting, &socket->path);
	if (strcmp(key, "mode") == 0)
		return config_read_mode(setting, &socket->mode);
	if (strcmp(key, "group") == 0)
		return config_read_account(setting, &socket->group);
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

enum mortise_status config_sockets_check(
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

void config_sockets_done(struct config *config)
{
	for (size_t i = 0; i < config->socket_count; i++) {
		free(config->sockets[i].name);
		free(config->sockets[i].path);
		free(config->sockets[i].group);
	}
}
