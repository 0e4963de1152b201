# From any shell, also one over ssh, to the screens that all consoles share.
alias p2v-tui='p2v-tui --iso'
PS1='\h:\w# '
