# Opens the shared screens of the consoles from any shell, also over ssh.
alias p2v-tui='p2v-tui --iso'
. /usr/share/bash-completion/completions/p2v-tui
PS1='\h:\w# '
