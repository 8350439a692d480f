/* SPDX-License-Identifier: ISC */
#include "config_value.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define FILE_PATH_MAX   1023 /* leaves room in PATH_MAX for what is kept below */
#define NAME_MAX_BYTES  255
#define MODE_MAX        0666u

enum mortise_status config_value_refuse(const struct setting *setting, const char *expected)
{
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->value_column,
		"expected %s, not '%.80s'", expected, setting->entry->value);
}

enum mortise_status config_value_refuse_long(const struct setting *setting, size_t most)
{
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->value_column,
		"'%s' has at most %zu bytes, and this %zu", setting->entry->key, most,
		strlen(setting->entry->value));
}

enum mortise_status config_value_store(char **text, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return MORTISE_BUSY;
	free(*text);
	*text = copy;
	return MORTISE_OK;
}

bool config_value_is_absolute(const char *path)
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

static enum mortise_status read_path(const struct setting *setting, size_t size_max)
{
	const char *value = setting->entry->value;

	if (!config_value_is_absolute(value))
		return config_value_refuse(
			setting, "an absolute path without '//', '/./', '/../' or a last '/'");
	if (strlen(value) > size_max)
		return config_value_refuse_long(setting, size_max);
	return config_value_store(setting->field, value);
}

enum mortise_status config_value_socket_path(const struct setting *setting)
{
	return read_path(setting, SOCKET_PATH_MAX);
}

enum mortise_status config_value_file_path(const struct setting *setting)
{
	return read_path(setting, FILE_PATH_MAX);
}

enum mortise_status config_value_account(const struct setting *setting)
{
	const char *value = setting->entry->value;
	size_t size = strcspn(value, " \t,:/");

	if (size == 0 || value[size] != '\0')
		return config_value_refuse(setting, "one name");
	if (size > NAME_MAX_BYTES)
		return config_value_refuse_long(setting, NAME_MAX_BYTES);
	return config_value_store(setting->field, value);
}

/* Three octal digits, perhaps a 0 before them; nobody executes a socket. */
enum mortise_status config_value_mode(const struct setting *setting)
{
	unsigned *out_mode = setting->field;
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	unsigned mode = 0;

	if ((size == 3 || (size == 4 && value[0] == '0')) && strspn(value, "01234567") == size)
		for (size_t i = 0; i < size; i++)
			mode = 8 * mode + (unsigned)(value[i] - '0');
	if (mode == 0 || (mode & ~MODE_MAX) != 0)
		return config_value_refuse(setting, "a mode from 0600 to 0666, such as 0660");
	*out_mode = mode;
	return MORTISE_OK;
}

enum mortise_status config_value_switch(const struct setting *setting)
{
	bool *out_switch = setting->field;
	bool is_on = strcmp(setting->entry->value, "yes") == 0;

	if (!is_on && strcmp(setting->entry->value, "no") != 0)
		return config_value_refuse(setting, "yes or no");
	*out_switch = is_on;
	return MORTISE_OK;
}
