# SPDX-License-Identifier: ISC
# bash completion for mortise, with bash-completion 2. `mortise complete` says what there is.

# Where in COMP_WORDS the words begin that are given here, the last ones: bash splits more of them.
_mortise_position()
{
	local IFS='' at

	for ((at = COMP_CWORD; at > 0; at--)); do
		[[ ${COMP_WORDS[*]:at:COMP_CWORD-at+1} != "$*" ]] || break
	done
	echo "$at"
}

# bash puts the candidate only behind the last = : or @ that splits words.
_mortise_trim()
{
	local breaks=${COMP_WORDBREAKS//[^=:@]/} kept=''

	[[ -z $breaks ]] || kept=${cur%"${cur##*[$breaks]}"}
	COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}

_mortise()
{
	local cur words cword
	local -a lines

	_get_comp_words_by_ref -n '=:@' cur words cword || return
	mapfile -t lines < <("${1/#\~\//$HOME/}" complete -- "${words[@]:1:cword-1}" "$cur" 2>/dev/null)
	case ${lines[0]-} in
	'') ;;
	'files '*)
		cur=${cur:${lines[0]#* }}
		_filedir
		;;
	'directories '*)
		cur=${cur:${lines[0]#* }}
		_filedir -d
		;;
	'command '*)
		_command_offset "$(_mortise_position "${words[@]:${lines[0]#* }+1:cword-${lines[0]#* }}")"
		;;
	*)
		COMPREPLY=("${lines[@]%%$'\t'*}")
		[[ ${#lines[@]} != 1 || ${COMPREPLY[0]} != *[/=] ]] || compopt -o nospace
		_mortise_trim
		;;
	esac
} && complete -F _mortise mortise
