// Package life holds the rules of the life of tokens.
package life
