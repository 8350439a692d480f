/* SPDX-License-Identifier: ISC */
/* config_value: values of mortised.conf, one at a time, whatever key they stand behind. */
#ifndef MORTISE_CONFIG_VALUE_H
#define MORTISE_CONFIG_VALUE_H

#include <stdbool.h>

#include "inifile.h"

/* An entry that is being read, and where it goes: whoever reads it knows what is there. */
struct setting {
	const struct inifile_entry *entry;
	struct inifile_error *error;
	void *field;
};

typedef enum mortise_status config_value_reader(const struct setting *setting);

/* MORTISE_REJECTED, with the place and "expected ..., not ...". */
enum mortise_status config_value_refuse(const struct setting *setting, const char *expected);
/* A value that has more bytes than one may have. */
enum mortise_status config_value_refuse_long(const struct setting *setting, size_t most);

/* Keeps a copy of value in the place of *text. */
enum mortise_status config_value_store(char **text, const char *value) MUST_USE;

/* Absolute, and the one way to write it: no empty segment, no "." or "..", no '/' at the end. */
bool config_value_is_absolute(const char *path);
/* For a field that is char *. */
enum mortise_status config_value_file_path(const struct setting *setting) MUST_USE;
/* A socket's absolute path, for a char *. */
enum mortise_status config_value_socket_path(const struct setting *setting) MUST_USE;
/* One name of a user or group, for a char *. */
enum mortise_status config_value_account(const struct setting *setting) MUST_USE;
/* A socket's mode, from 0600 to 0666, for an unsigned. */
enum mortise_status config_value_mode(const struct setting *setting) MUST_USE;
/* yes or no, for a bool. */
enum mortise_status config_value_switch(const struct setting *setting) MUST_USE;

#endif
