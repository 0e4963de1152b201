# The shells of the live image.
[ -f ~/.bashrc ] && [ -n "$BASH" ] && . ~/.bashrc
