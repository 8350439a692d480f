/* SPDX-License-Identifier: ISC */
/* The section [pkcs11] of mortised.conf. */
#include <string.h>

#include "config_setting.h"

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
			return config_refuse_value(setting, expected);
		memcpy(word, at, size);
		word[size] = '\0';
		if (!check(word))
			return config_refuse_value(setting, expected);
		if (used > 0)
			kept[used++] = ' ';
		memcpy(kept + used, word, size);
		used += size;
		at += size;
	}
	if (count == 0)
		return config_refuse_value(setting, expected);
	kept[used] = '\0';
	return config_store_text(out_words, kept);
}

static bool is_assignment(const char *word)
{
	static const char letters[] =
		"_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t size = strspn(word, letters);

	return size > 0 && strspn(word, "0123456789") == 0 && word[size] == '=';
}

enum mortise_status config_pkcs11_read(const struct setting *setting)
{
	struct config *config = setting->config;
	const char *key = setting->entry->key;

	if (strcmp(key, "modules") == 0)
		return read_words(setting, MODULES_MAX, config_is_absolute,
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
		return config_read_file_path(setting, &config->pkcs11_pin_file);
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->column,
		"unknown key '%.80s' in [pkcs11]; expected modules, env or pin-file", key);
}
