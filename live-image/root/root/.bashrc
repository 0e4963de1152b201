# From any shell, also one over ssh, to the screens that all consoles share.
alias p2v-tui='p2v-tui --iso'
. /usr/share/bash-completion/completions/p2v-tui
PS1='\h:\w# '
