"""The token server's pages for people: sign in, agree, sign out, and what went wrong.

They work without JavaScript and keep no rule of their own: what a person has to be asked is
decided in `mintmark.server`, and here it gets a form.
"""
