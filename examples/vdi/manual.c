/* examples/vdi/manual.c - the manual page, and the completion of three shells, from the tables that
 * parse and help come from */
#include "tool.h"

/* ---- vdi man: a page for man(1) -------------------------------------------------------------- */

/* Text as roff takes it: hyphens that are meant, no line that begins with a command. */
static void roff(FILE *to, const char *text) {
    for (bool first = true; *text; first = *text++ == '\n') {
        if (first && (*text == '.' || *text == '\'')) fputs("\\&", to);
        if (*text == '\\')
            fputs("\\e", to);
        else if (*text == '-')
            fputs("\\-", to);
        else
            fputc(*text, to);
    }
    fputc('\n', to);
}

static void manual_option(FILE *to, const option *o) {
    option_text text;
    if (!o->name) {
        fputs(".PP\n.I ", to);
        roff(to, o->help);
        return;
    }
    option_words(o, &text);
    fputs(".TP\n.B ", to);
    roff(to, text.name);
    roff(to, text.help);
}

static void manual_command(FILE *to, const command *c) {
    fprintf(to, ".SS vdi %s%s%s%s%s\n", c->family, *c->verb ? " " : "", c->verb,
            *c->arguments ? " " : "", c->arguments);
    roff(to, c->summary);
    for (int i = 0; i < c->option_count; i++)
        manual_option(to, &c->options[i]);
    fputs(".PP\nExample:\n.PP\n.nf\n.RS\n", to);
    roff(to, c->example);
    fputs(".RE\n.fi\n", to);
}

int run_manual(FILE *to, const command *const *commands, int count) {
    fprintf(to,
            ".TH VDI 1 \"\" \"vdi %s\" \"User Commands\"\n.SH NAME\n"
            "vdi \\- value decomposition and variational inference\n.SH SYNOPSIS\n"
            ".B vdi\n.I family verb\n[\\fIarguments\\fR] [\\fIoptions\\fR]\n.SH DESCRIPTION\n",
            VDI_VERSION);
    roff(to, "Finds spikes in calcium fluorescence, latents behind time series and populations of "
             "neurons, and policies whose value is split by reward component.");
    fputs(".PP\n", to);
    roff(to, "Arrays are .npy, one member of an .npz (file.npz:name), .csv, .tsv or .mat; - is "
             "standard input; NaN is a missing value. --name=value is --name value, and -d2 is "
             "-d 2.");
    fputs(".SH COMMANDS\n", to);
    for (int i = 0; i < count; i++)
        manual_command(to, commands[i]);
    fputs(".SH COMMON OPTIONS\n", to);
    for (int i = 0; i < option_count(commands[0]) - commands[0]->option_count; i++)
        manual_option(to, option_at(commands[0], i));
    fputs(".SH EXIT STATUS\n", to);
    roff(to, "0: done. 1: it failed (data, memory, numbers). 2: wrong usage. 130, 143: ended by an "
             "interrupt or SIGTERM; what is done is saved.");
    return DONE;
}

/* ---- vdi completion -------------------------------------------------------------------------- */

/* The words that an option takes, or NULL. */
static const char *const *option_values(const option *o) {
    vdi_field field = o->own;
    if (o->table) field = *vdi_fields_find(o->table(), o->member);
    return field.name && field.type == VDI_FIELD_TYPE_ENUM ? field.words : NULL;
}

/* A word of the tables as it is typed. */
static void typed_word(FILE *to, const char *word) {
    for (; *word; word++)
        fputc(*word == '_' ? '-' : *word, to);
}

static void families(FILE *to, const command *const *commands, int count) {
    for (int i = 0; i < count; i++) {
        if (i == 0 || strcmp(commands[i]->family, commands[i - 1]->family) != 0)
            fprintf(to, "%s ", commands[i]->family);
    }
    fputs("man completion", to);
}

/* The branches of a `case "family verb"` for options, and of a `case "family verb --option"` for
 * their words; each sets `words`. */
static void option_branches(FILE *to, const command *c) {
    fprintf(to, "    '%s%s%s') words='", c->family, *c->verb ? " " : "", c->verb);
    for (int i = 0; i < option_count(c); i++) {
        const option *o = option_at(c, i);
        if (o->name) fprintf(to, "%s%s ", o->name[1] ? "--" : "-", o->name);
        if (o->name && o->also) fprintf(to, "--%s ", o->also);
    }
    fputs("--help' ;;\n", to);
}

static void value_branches(FILE *to, const command *c) {
    for (int i = 0; i < option_count(c); i++) {
        const option *o = option_at(c, i);
        const char *const *words = o->name ? option_values(o) : NULL;
        if (!words) continue;
        fprintf(to, "    '%s%s%s --%s') words='", c->family, *c->verb ? " " : "", c->verb, o->name);
        for (int k = 0; words[k]; k++) {
            typed_word(to, words[k]);
            if (words[k + 1]) fputc(' ', to);
        }
        fputs("' ;;\n", to);
    }
}

/* Sets `words` in bash and zsh, out of $family, $verb, $previous and $current. */
static void branches(FILE *to, const command *const *commands, int count) {
    fputs("    local command=$family words=\n    case $family in\n    ", to);
    for (int i = 0; i < count; i++) {
        const bool last =
            i + 1 == count || strcmp(commands[i]->family, commands[i + 1]->family) != 0;
        if (*commands[i]->verb && last)
            fprintf(to, "%s) command=\"$family $verb\" ;;\n", commands[i]->family);
        if (*commands[i]->verb && last && i + 1 < count) fputs("    ", to);
    }
    fputs("    esac\n    case \"$command $previous\" in\n", to);
    for (int i = 0; i < count; i++)
        value_branches(to, commands[i]);
    fputs("    *' --simd') words='auto scalar sse2 avx2 avx512 neon' ;;\n    esac\n"
          "    if [ -n \"$words\" ]; then REPLY=$words; return; fi\n"
          "    case $current in -*) ;; *) REPLY=; return ;; esac\n    case $command in\n",
          to);
    for (int i = 0; i < count; i++)
        option_branches(to, commands[i]);
    fputs("    esac\n    REPLY=$words\n", to);
}

static void verb_branches(FILE *to, const command *const *commands, int count) {
    fputs("    case $family in\n", to);
    for (int i = 0; i < count; i++) {
        if (!*commands[i]->verb) continue;
        if (i == 0 || strcmp(commands[i]->family, commands[i - 1]->family) != 0)
            fprintf(to, "    %s) REPLY='", commands[i]->family);
        fputs(commands[i]->verb, to);
        fputs(i + 1 == count || strcmp(commands[i]->family, commands[i + 1]->family) != 0 ? "' ;;\n"
                                                                                          : " ",
              to);
    }
    fputs("    completion) REPLY='bash zsh fish' ;;\n    *) REPLY= ;;\n    esac\n", to);
}

static void shell_words(FILE *to, const command *const *commands, int count) {
    fputs("_vdi_verbs() {\n    local family=$1\n", to);
    verb_branches(to, commands, count);
    fputs("}\n_vdi_words() {\n    local family=$1 verb=$2 previous=$3 current=$4\n", to);
    branches(to, commands, count);
    fputs("}\n", to);
}

static void completion_bash(FILE *to, const command *const *commands, int count) {
    fputs("# vdi completion bash > ~/.local/share/bash-completion/completions/vdi\n", to);
    shell_words(to, commands, count);
    fputs("_vdi() {\n    local current=${COMP_WORDS[COMP_CWORD]} REPLY=\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then REPLY='",
          to);
    families(to, commands, count);
    fputs("'\n    elif [ \"$COMP_CWORD\" -eq 2 ]; then _vdi_verbs \"${COMP_WORDS[1]}\"; fi\n"
          "    if [ -z \"$REPLY\" ]; then\n"
          "        _vdi_words \"${COMP_WORDS[1]}\" \"${COMP_WORDS[2]}\" "
          "\"${COMP_WORDS[COMP_CWORD-1]}\" \"$current\"\n    fi\n"
          "    if [ -n \"$REPLY\" ]; then COMPREPLY=($(compgen -W \"$REPLY\" -- \"$current\"))\n"
          "    else COMPREPLY=($(compgen -f -- \"$current\")); fi\n}\n"
          "complete -o filenames -F _vdi vdi\n",
          to);
}

static void completion_zsh(FILE *to, const command *const *commands, int count) {
    fputs("#compdef vdi\n# vdi completion zsh > _vdi, in a folder of $fpath\n", to);
    shell_words(to, commands, count);
    fputs(
        "_vdi() {\n    local REPLY= current=$words[CURRENT]\n    local -a line=(\"${words[@]}\")\n"
        "    if (( CURRENT == 2 )); then REPLY='",
        to);
    families(to, commands, count);
    fputs("'\n    elif (( CURRENT == 3 )); then _vdi_verbs \"$line[2]\"; fi\n"
          "    [[ -n $REPLY ]] || _vdi_words \"$line[2]\" \"$line[3]\" \"$line[CURRENT-1]\" "
          "\"$current\"\n"
          "    if [[ -n $REPLY ]]; then compadd -- ${=REPLY}; else _files; fi\n}\n"
          "if [[ $funcstack[1] == _vdi ]]; then _vdi \"$@\"; else compdef _vdi vdi; fi\n",
          to);
}

/* A text in single quotes for fish. */
static void fish_text(FILE *to, const char *text) {
    fputc('\'', to);
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') fputc('\\', to);
        fputc(*text, to);
    }
    fputc('\'', to);
}

static void fish_option(FILE *to, const command *c, const option *o) {
    option_text text;
    char line[OPTION_HELP];
    option_words(o, &text);
    first_sentence(line, sizeof line, text.help);
    fprintf(to, "complete -c vdi -n '__fish_seen_subcommand_from %s", c->family);
    if (*c->verb) fprintf(to, "; and __fish_seen_subcommand_from %s", c->verb);
    fprintf(to, "' %s %s%s%s%s", o->name[1] ? "-l" : "-s", o->name, o->also ? " -l " : "",
            o->also ? o->also : "", o->value ? " -r" : "");
    const char *const *words = option_values(o);
    if (words) fputs(" -f -a '", to);
    for (int k = 0; words && words[k]; k++) {
        typed_word(to, words[k]);
        fputs(words[k + 1] ? " " : "'", to);
    }
    fputs(" -d ", to);
    fish_text(to, line);
    fputc('\n', to);
}

static void completion_fish(FILE *to, const command *const *commands, int count) {
    char line[OPTION_HELP];
    fputs("# vdi completion fish > ~/.config/fish/completions/vdi.fish\n"
          "complete -c vdi -f -n __fish_use_subcommand -a '",
          to);
    families(to, commands, count);
    fputs("'\n", to);
    for (int i = 0; i < count; i++) {
        const command *c = commands[i];
        if (*c->verb) {
            first_sentence(line, sizeof line, c->summary);
            fprintf(to,
                    "complete -c vdi -f -n '__fish_seen_subcommand_from %s; and test (count "
                    "(commandline -opc)) -eq 2' -a %s -d ",
                    c->family, c->verb);
            fish_text(to, line);
            fputc('\n', to);
        }
        for (int k = 0; k < option_count(c); k++) {
            if (option_at(c, k)->name) fish_option(to, c, option_at(c, k));
        }
    }
}

int run_completion(FILE *to, const command *const *commands, int count, const char *shell) {
    if (strcmp(shell, "bash") == 0)
        completion_bash(to, commands, count);
    else if (strcmp(shell, "zsh") == 0)
        completion_zsh(to, commands, count);
    else if (strcmp(shell, "fish") == 0)
        completion_fish(to, commands, count);
    else
        return usage("expected bash, zsh or fish after 'completion', got '%s'", shell);
    return DONE;
}
